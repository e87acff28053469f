//! The command `man`: the manual page of a program, all of its commands on one page.

use std::io::{self, Write};

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use millstream_record::{Error, Result};

use crate::logs;

pub(crate) const NAME: &str = "man";

/// What can be typed.
pub(crate) fn command() -> Command {
    Command::new(NAME).about("Print the program's manual page, with a section for each command")
}

/// Prints the page of a program.
///
/// # Errors
/// Standard output that cannot be written.
pub(crate) fn print(program: Command) -> Result<()> {
    let page =
        page(program).map_err(|error| Error::bug("the manual page cannot be made").caused_by(error))?;
    logs::out(&String::from_utf8_lossy(&page))
}

fn page(program: Command) -> io::Result<Vec<u8>> {
    let mut program = program.disable_help_subcommand(true);
    program.build();
    let (mut page, man) = (Vec::new(), Man::new(program.clone()));
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    for command in program.get_subcommands() {
        section(command, &mut page)?;
    }
    Roff::new().control("SH", ["NOTES"]).to_writer(&mut page)?;
    after_help(&program, &mut page)?;
    man.render_version_section(&mut page)?;
    Ok(page)
}

/// One command: what it does, how it is typed, its options, its examples.
fn section(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name()).to_uppercase();
    Roff::new().control("SH", [name.as_str()]).to_writer(page)?;
    // Options that every command has are described once, with the program's.
    let own = command.clone().mut_args(|arg| {
        let common = arg.is_global_set() || arg.get_id() == "help";
        arg.hide(common)
    });
    let has_options = own.get_arguments().any(|arg| !arg.is_hide_set());
    let man = Man::new(own);
    page.extend(headless(|text| man.render_description_section(text))?);
    Roff::new().control("PP", []).to_writer(page)?;
    page.extend(headless(|text| man.render_synopsis_section(text))?);
    if has_options {
        page.extend(headless(|text| man.render_options_section(text))?);
    }
    after_help(command, page)
}

/// A section without its heading.
fn headless(render: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    render(&mut text)?;
    let heading = text.windows(4).position(|window| window == b".SH ").unwrap_or(0);
    let end = text[heading..].iter().position(|byte| *byte == b'\n').map_or(0, |end| heading + end + 1);
    Ok(text.split_off(end))
}

// Prose is filled; lines that are set in stand in columns and stay as they are.
fn after_help(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let Some(text) = command.get_after_long_help().or_else(|| command.get_after_help()) else {
        return Ok(());
    };
    let mut roff = Roff::new();
    roff.control("PP", []);
    for line in text.to_string().lines() {
        match line {
            "" => roff.control("PP", []),
            _ if line.starts_with(' ') => roff.control("nf", []).text([roman(line)]).control("fi", []),
            _ => roff.text([roman(line)]),
        };
    }
    roff.to_writer(page)
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    #[test]
    fn each_command_has_a_section_with_its_options_and_examples() {
        let config =
            Arg::new("config").long("config").value_name("FILE").required(true).help("The job's file");
        let format = Arg::new("format").long("format").global(true).help("How it is logged");
        let run = Command::new("run").about("Run the job").arg(config);
        let program = Command::new("orders")
            .about("Counts orders")
            .version("1.2.3")
            .after_help("Exit codes:\n  0  all is well")
            .arg(format)
            .subcommand(run.after_help("Examples:\n  orders run --config job.yaml"))
            .subcommand(Command::new("cancel").about("End the job"));
        let page = String::from_utf8(page(program).unwrap()).unwrap();
        for part in [
            ".TH orders 1",
            "orders \\- Counts orders",
            ".SH \"ORDERS RUN\"",
            "Run the job",
            "\\fB\\-\\-config\\fR",
            "  orders run \\-\\-config job.yaml",
            ".SH \"ORDERS CANCEL\"",
            "  0  all is well",
            "v1.2.3",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert_eq!(page.matches("How it is logged").count(), 1, "{page}");
    }
}
