//! The command `clickstream`.

use std::process::ExitCode;

use clap::FromArgMatches;
use clickstream::commands::Clickstream;
use millstream::cli::{finish, with_exit_codes};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let matches = with_exit_codes::<Clickstream>().get_matches();
    match Clickstream::from_arg_matches(&matches) {
        Ok(command) => finish(command.execute()),
        Err(error) => error.exit(),
    }
}
