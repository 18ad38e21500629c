//! `wramp site`: every log of a directory as one static site.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::model::board::Board;
use crate::model::file;
use crate::model::site::read;
use crate::problem::{Outcome, Problem};
use crate::show::number::count;
use crate::show::site::{catalogue_path, pages};
use crate::show::terminal::print;

/// Options of `wramp site`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wramp site results/ -o site          then open site/index.html
  wramp site results/ --check          only judge the logs, as for a pull request

The pages load nothing from a network and need no server. The logs are copied beside them.

A log is refused if a line of it could not be read, if its run is not done or ended badly, or if
machine.txt is missing beside it. The others still make a site.

Exit status: 0 every log is in the site; 1 one was refused; 2 wrong input.")]
pub struct SiteArgs {
    /// The directory of saved runs
    #[arg(value_name = "RESULTS")]
    pub results: PathBuf,
    /// The directory of the site; it is made anew
    #[arg(short, long, value_name = "DIR", required_unless_present = "check")]
    pub output: Option<PathBuf>,
    /// Judge the logs and write nothing
    #[arg(long, conflicts_with = "output")]
    pub check: bool,
}

/// What shows that a directory is a site, which may be replaced.
const MARK: &str = ".wramp-site";

/// `wramp site`.
///
/// # Errors
/// No results, or a directory that cannot be written or holds something else.
pub fn execute(args: &SiteArgs) -> Outcome {
    let results = read(&args.results)?;
    for refused in &results.refused {
        eprintln!("refused: {refused}");
    }
    let mut boards = Board::all()?;
    boards.sort_by(|a, b| a.board.cmp(&b.board));
    if let Some(output) = &args.output {
        empty(output)?;
        let put = |path: &str, bytes: &[u8]| {
            let path = output.join(path);
            let parent = path.parent().unwrap_or(output);
            fs::create_dir_all(parent).map_err(|error| {
                Problem::new(format!("cannot write {}: {error}", parent.display()))
            })?;
            file::write(&path, bytes)
        };
        put(MARK, b"wramp site made this directory and will replace it.\n")?;
        let all = pages(&results, &boards);
        for page in &all {
            put(&page.path, page.text.as_bytes())?;
        }
        let copied = results.runs.iter().map(|saved| (&saved.place, "run.log"));
        let tables = results.engines.iter().map(|table| (&table.place, "engines.csv"));
        for (place, name) in copied.chain(tables) {
            for name in [name, "machine.txt"] {
                let from = args.results.join(place).join(name);
                let bytes = fs::read(&from)
                    .map_err(|error| Problem::new(format!("{}: {error}", from.display())))?;
                put(&format!("logs/{place}/{name}"), &bytes)?;
            }
        }
        for (board, text) in Board::sources()? {
            put(&catalogue_path(&board), text.as_bytes())?;
        }
        print(&format!(
            "{}: {} pages from {} logs\n",
            output.join("index.html").display(),
            count(all.len()),
            count(results.runs.len() + results.engines.len())
        ))?;
    } else {
        print(&format!(
            "{} logs are right, {} refused\n",
            count(results.runs.len() + results.engines.len()),
            count(results.refused.len())
        ))?;
    }
    Ok(ExitCode::from(u8::from(!results.refused.is_empty())))
}

/// Empties a directory of a former site. Anything else is left alone.
fn empty(directory: &Path) -> Result<(), Problem> {
    let told = |error: std::io::Error| {
        Problem::new(format!("cannot write {}: {error}", directory.display()))
    };
    let mut inside = match fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(told)?,
    };
    if inside.next().is_none() {
        return Ok(());
    }
    if !directory.join(MARK).is_file() {
        return Err(Problem::new(format!(
            "{} holds something else than a site: name another directory",
            directory.display()
        )));
    }
    fs::remove_dir_all(directory).map_err(told)
}
