//! Prints the report of each module on the command line, like `wramp size`.

use std::process::ExitCode;

use wramp_size::{Layout, sizes};

fn main() -> ExitCode {
    for path in std::env::args().skip(1) {
        let report = std::fs::read(&path).map_err(|error| error.to_string()).and_then(|wasm| {
            let narrow = sizes(&wasm, Layout::FAST_32).map_err(|error| error.to_string())?;
            let wide = sizes(&wasm, Layout::BOTH_64).map_err(|error| error.to_string())?;
            Ok((narrow, wide))
        });
        let (narrow, wide) = match report {
            Ok(report) => report,
            Err(error) => {
                eprintln!("{path}: {error}");
                return ExitCode::FAILURE;
            }
        };
        println!("{path}: {} bytes, {} of them custom", wide.module_bytes, wide.custom_bytes);
        println!("  {:<16} {:>9} {:>9}", "an instance", "32 bits", "64 bits");
        for part in &wide.parts {
            let other = narrow.part(part.name);
            println!("  {:<16} {other:>9} {:>9}  {}", part.name, part.bytes, part.made_of);
        }
        let sum = (narrow.instance_bytes(), wide.instance_bytes());
        println!("  {:<16} {:>9} {:>9}  in {} blocks", "sum", sum.0, sum.1, wide.blocks);
        if let Some(advice) = wide.advice {
            println!("  {advice}");
        }
    }
    ExitCode::SUCCESS
}
