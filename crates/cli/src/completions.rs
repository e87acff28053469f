//! The command `completions`: a script with which a shell completes commands and options.

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::{Shell, generate};
use millstream_record::Result;

use crate::logs;

pub(crate) const NAME: &str = "completions";

/// What can be typed.
pub(crate) fn command() -> Command {
    let shell = Arg::new("shell").value_name("SHELL").value_parser(value_parser!(Shell)).required(true);
    Command::new(NAME)
        .about("Print a script with which a shell completes the program's commands and options")
        .arg(shell.help("The shell that reads the script"))
}

/// Prints the script of a program.
///
/// # Errors
/// Standard output that cannot be written.
pub(crate) fn print(program: Command, matches: &ArgMatches) -> Result<()> {
    match matches.get_one::<Shell>("shell") {
        Some(shell) => logs::out(&script(program, *shell)),
        None => Ok(()),
    }
}

fn script(mut program: Command, shell: Shell) -> String {
    let (name, mut script) = (program.get_name().to_owned(), Vec::new());
    generate(shell, &mut program, name, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_gets_every_command() {
        let program = || Command::new("orders").subcommand(Command::new("savepoint"));
        for shell in Shell::value_variants() {
            let script = script(program(), *shell);
            assert!(script.contains("orders") && script.contains("savepoint"), "{shell}: {script}");
        }
    }
}
