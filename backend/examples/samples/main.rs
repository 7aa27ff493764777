//! Makes real sample files with the real programs, converts each as the backend does, opens every
//! result with another program and checks what is in it, and prints a table.
//!
//! Fails when a sample fails, and when a program is missing.

mod check;
mod make;
mod rows;
mod table;

use std::process::ExitCode;

fn main() -> ExitCode {
    match table::run() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(failures) => {
            eprintln!("{failures} samples failed");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("samples: {error}");
            ExitCode::FAILURE
        }
    }
}
