//! The binary `wramp`; the library beside it does everything.

fn main() -> std::process::ExitCode {
    wramp_cli::main()
}
