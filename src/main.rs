//! The `obring` binary: the allocator, the arguments, and `server::run`.

use std::ffi::OsString;
use std::process::ExitCode;

/// Many short-lived sessions of different sizes on several threads: small, fast, and gives memory
/// back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    obring::server::run(&arguments)
}
