//! The binary `wramp`; everything is in the library beside it.

fn main() -> std::process::ExitCode {
    wramp_cli::main()
}
