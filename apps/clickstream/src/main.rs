//! The command `clickstream`.

use std::process::ExitCode;

use clickstream::commands::Clickstream;
use millstream::cli::{command_line, finish};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    finish(command_line::<Clickstream>().execute())
}
