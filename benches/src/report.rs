//! What a benchmark says, on the terminal and in RESULTS.md.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::machine;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/RESULTS.md");
const PREFACE: &str = "# Results\n\nWritten by `cargo xtask bench`; ratios are of one run. Each section is its benchmark's raw output.\n";

/// The output of one benchmark. It becomes the section of its name; the section that was there is replaced.
pub(crate) struct Report {
    name: String,
    lines: Vec<String>,
}

impl Report {
    /// An empty section, but for the machine and the date.
    pub(crate) fn new(name: &str) -> Self {
        let mut report = Self { name: name.to_owned(), lines: Vec::new() };
        report.line(format!("{name}: {}", machine::describe()));
        report
    }

    /// Adds a line and prints it.
    #[allow(clippy::print_stdout, reason = "the one home of the benchmarks' output")]
    pub(crate) fn line(&mut self, line: impl Into<String>) {
        let line = line.into();
        println!("{line}");
        self.lines.push(line);
    }

    /// Puts the section into RESULTS.md.
    pub(crate) fn save(&self) -> Result<()> {
        let before = if Path::new(FILE).exists() { fs::read_to_string(FILE)? } else { PREFACE.to_owned() };
        fs::write(FILE, self.put_into(&before)).with_context(|| format!("{FILE} cannot be written"))
    }

    fn put_into(&self, text: &str) -> String {
        let heading = format!("## {}\n", self.name);
        let section = format!("{heading}\n```text\n{}\n```\n", self.lines.join("\n"));
        let Some(start) = text.find(&heading) else { return format!("{text}\n{section}") };
        let rest = &text[start + heading.len()..];
        // What people wrote below the raw output stays.
        let end = rest.match_indices("```\n").nth(0).map_or(rest.len(), |(at, fence)| at + fence.len());
        format!("{}{section}{}", &text[..start], &rest[end..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_replaces_its_raw_output_and_nothing_else() {
        let report = |name: &str, line: &str| Report { name: name.into(), lines: vec![line.into()] };
        let text = report("b", "new").put_into(&report("a", "1").put_into("top\n"));
        let written = text.replace("1\n```\n", "1\n```\n\nProse stays.\n");
        let again = report("a", "2").put_into(&written);
        assert_eq!(again, "top\n\n## a\n\n```text\n2\n```\n\nProse stays.\n\n## b\n\n```text\nnew\n```\n");
    }
}
