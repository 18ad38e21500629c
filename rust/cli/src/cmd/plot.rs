//! `wramp plot`: logs as pictures: SVG, PNG or one self-contained HTML page.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use crate::model::file;
use crate::problem::{Outcome, Problem};
use crate::show::chart;
use crate::show::log_charts::{charts, stacks};
use crate::show::page::{heading, names, page, subtitle};
use crate::show::terminal::{choose, open_all, print};

/// Options of `wramp plot`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wramp plot run.log -o ramp.svg
  wramp plot results/linux/2026-01-31-1a2b3c4 -o ramp.png
  wramp plot published/run.log fast/run.log --parts --workload cpu -o bytes.svg
  wramp plot old.log new.log -o ramp.html      one page with all pictures and tables; no network
  wramp run --format records | wramp plot - -o - > ramp.svg")]
pub struct PlotArgs {
    /// Logs: a file, - for stdin, or the directory of a saved run
    #[arg(required = true, value_name = "LOG")]
    pub logs: Vec<String>,
    /// The picture: .svg, .png or .html; - writes SVG to stdout
    #[arg(short, long, value_name = "FILE")]
    pub output: String,
    /// Only what the bytes of one instance are for, one bar for each log and workload (the HTML
    /// page always has this picture)
    #[arg(long)]
    pub parts: bool,
    /// Only this workload (repeat for several; default: all)
    #[arg(long, value_name = "NAME")]
    pub workload: Vec<String>,
    /// Pixels of a PNG for each unit of the SVG
    #[arg(long, default_value_t = 2.0, value_parser = scale)]
    pub scale: f32,
}

fn scale(text: &str) -> Result<f32, String> {
    let scale: f32 = text.parse().map_err(|_| "a number from 0.1 to 10".to_owned())?;
    if (0.1..=10.0).contains(&scale) { Ok(scale) } else { Err("from 0.1 to 10".into()) }
}

/// `wramp plot`.
///
/// # Errors
/// A log that cannot be read, nothing to draw, or a file that cannot be written.
pub fn execute(args: &PlotArgs) -> Outcome {
    let extension = match &*args.output {
        "-" => "svg".to_owned(),
        path => Path::new(path)
            .extension()
            .map(|extension| extension.to_string_lossy().to_ascii_lowercase())
            .unwrap_or_default(),
    };
    if !["svg", "png", "html"].contains(&&*extension) {
        return Err(Problem::new(format!(
            "--output {}: its name must end in .svg, .png or .html",
            args.output
        )));
    }
    let mut logs = open_all(&args.logs)?;
    choose(&mut logs, &args.workload)?;
    if args.parts && extension != "html" {
        let stacks = stacks(&logs).ok_or_else(|| {
            Problem::new(format!(
                "nothing to plot: {} does not say what an instance's bytes are for",
                names(&logs)
            ))
        })?;
        return write(args, &extension, &stacks.sheet());
    }
    let charts = charts(&logs);
    if charts.is_empty() {
        return Err(Problem::new(format!(
            "nothing to plot: no step in {}; did the first instance start?",
            names(&logs)
        )));
    }
    write(
        args,
        &extension,
        &match &*extension {
            "html" => page(&logs, &charts),
            _ => chart::sheet(&heading(&logs), &subtitle(&logs), &charts),
        },
    )
}

fn write(args: &PlotArgs, extension: &str, picture: &str) -> Outcome {
    let bytes = match extension {
        "png" => raster(picture, args.scale)?,
        _ => picture.as_bytes().to_vec(),
    };
    if args.output == "-" {
        print(&String::from_utf8_lossy(&bytes))?;
    } else {
        file::write(Path::new(&args.output), &bytes)?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(feature = "png")]
fn raster(svg: &str, scale: f32) -> Result<Vec<u8>, Problem> {
    crate::show::png::png(svg, scale)
}

#[cfg(not(feature = "png"))]
fn raster(_: &str, _: f32) -> Result<Vec<u8>, Problem> {
    Err(Problem::new(
        "this build draws no PNG: build it with --features png, or name a file that ends in .svg \
         or .html",
    ))
}
