//! `wramp new`: writes a project for a guest, which builds with the right flags at once.
//!
//! The templates lie in `guest/templates` and are part of this command. The tests of
//! `rust/guest` build them and run what comes out.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::model::file;
use crate::problem::{Outcome, Problem};
use crate::show::terminal::print;

/// In what a guest is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// Rust, with the crate `wramp-guest`
    Rust,
    /// C, with clang and wasm-ld
    C,
    /// The text format of WebAssembly, which needs no compiler
    Wat,
}

/// Options of `wramp new`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wramp new my_guest --lang rust
  wramp new my_guest --lang c --path ~/wramp

It writes the project to a new directory NAME and says what to do next. docs/guest.md says what a
guest may import and how it waits.")]
pub struct NewArgs {
    /// The project and its directory: a lower-case letter, then letters, digits and _
    #[arg(value_name = "NAME", value_parser = name)]
    pub name: String,
    /// In what to write it
    #[arg(long, value_enum)]
    pub lang: Language,
    /// A checkout of wramp, which the project refers to (default: the one that wramp was built in)
    #[arg(long, value_name = "DIR")]
    pub path: Option<PathBuf>,
}

macro_rules! templates {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../../../guest/templates/", $path)))),*]
    };
}

/// Each file of the templates: its path and its text.
const TEMPLATES: &[(&str, &str)] = templates![
    "rust/.cargo/config.toml",
    "rust/.gitignore",
    "rust/Cargo.toml",
    "rust/README.md",
    "rust/src/lib.rs",
    "c/.gitignore",
    "c/Makefile",
    "c/README.md",
    "c/main.c",
    "wat/README.md",
    "wat/main.wat",
];

/// A project in C has a copy, so that it compiles without the checkout.
const HEADER: &str = include_str!("../../../../guest/wramp.h");

/// A name that cargo, make and C all take.
fn name(text: &str) -> Result<String, String> {
    let mut characters = text.chars();
    let begins = characters.next().is_some_and(|first| first.is_ascii_lowercase());
    if begins && characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
        return Ok(text.to_owned());
    }
    Err("a lower-case letter, then lower-case letters, digits and _".into())
}

/// The absolute path of the checkout, in characters that need no escape in TOML or Markdown.
fn checkout(given: Option<&Path>) -> Result<String, Problem> {
    let built_in = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let directory = given.unwrap_or(built_in);
    let not_one = || {
        Problem::new(format!(
            "{} is no checkout of wramp (it has no rust/guest): name one with --path DIR",
            directory.display()
        ))
    };
    let path = directory.canonicalize().map_err(|_| not_one())?;
    if !path.join("rust/guest/Cargo.toml").is_file() {
        return Err(not_one());
    }
    match path.to_str().filter(|text| !text.contains(['"', '\\', '`', '\n'])) {
        Some(text) => Ok(text.to_owned()),
        None => Err(Problem::new(format!(
            "{} has a character that no project file can hold: name another path with --path DIR",
            path.display()
        ))),
    }
}

impl Language {
    /// The directory of its template.
    const fn directory(self) -> &'static str {
        match self {
            Self::Rust => "rust/",
            Self::C => "c/",
            Self::Wat => "wat/",
        }
    }

    /// What to type next, a line each.
    fn next(self, name: &str) -> Vec<String> {
        match self {
            Self::Rust => vec![
                "rustup target add wasm32-unknown-unknown     # once".to_owned(),
                "cargo test".to_owned(),
                "cargo build --release --target wasm32-unknown-unknown".to_owned(),
                format!("wramp size target/wasm32-unknown-unknown/release/{name}.wasm"),
            ],
            Self::C => vec!["make".to_owned(), format!("wramp size {name}.wasm")],
            Self::Wat => vec!["wramp size main.wat".to_owned()],
        }
    }
}

/// `wramp new`.
///
/// # Errors
/// A directory that is there already or cannot be written, or no checkout of wramp.
pub fn execute(args: &NewArgs) -> Outcome {
    let NewArgs { name, lang, path } = args;
    let root = checkout(path.as_deref())?;
    let project = Path::new(name);
    fs::create_dir(project).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            Problem::new(format!("{name} is there already: choose another name"))
        }
        _ => Problem::new(format!("cannot make the directory {name}: {error}")),
    })?;
    let own = TEMPLATES
        .iter()
        .filter_map(|(path, text)| Some((path.strip_prefix(lang.directory())?, *text)));
    let header = (*lang == Language::C).then_some(("wramp.h", HEADER));
    for (path, text) in own.chain(header) {
        let to = project.join(path);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).map_err(|error| {
                Problem::new(format!("cannot make the directory {}: {error}", parent.display()))
            })?;
        }
        let text = text.replace("GUEST_NAME", name).replace("WRAMP_ROOT", &root);
        file::write(&to, text.as_bytes())?;
    }
    let next: String = lang.next(name).iter().map(|line| format!("  {line}\n")).collect();
    print(&format!(
        "{name}/ holds a guest that counts messages. Next:\n  cd {name}\n{next}\
         It imports `wramp` (docs/guest.md), which `wramp run` does not provide yet.\n"
    ))?;
    Ok(ExitCode::SUCCESS)
}
