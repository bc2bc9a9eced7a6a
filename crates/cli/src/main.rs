//! The program `fixedwise`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(fixedwise_cli::main(std::env::args_os().collect(), None))
}
