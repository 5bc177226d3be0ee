//! The program `lisle`.

fn main() -> std::process::ExitCode {
    lisle_cli::main(std::env::args_os())
}
