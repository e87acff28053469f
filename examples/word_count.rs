//! Counts the words of a text file.
//!
//! `cargo run -p examples --example word_count -- README.md` prints each word with its count.

use millstream::connectors::files::{FilesSink, FilesSinkOptions, FilesSource};
use millstream::prelude::*;
use millstream::window::EventTimeTrigger;

/// Counts the words of the file `input` and writes one line per word to the file `output`, where `-` is
/// standard output.
fn word_count(input: &str, output: &str) -> Environment {
    let env = Environment::new("word-count");
    let counts = env
        .source("file", FilesSource::from_path(input))
        .decode("lines", TextLines)
        .flat_map("words", |line| words(&line))
        .key_by(String::clone)
        // One window for all time: it fires when the input has ended.
        .window(Global)
        .trigger(EventTimeTrigger)
        .aggregate("count", Count, |word, _, count| (word.clone(), count));
    let sink = FilesSink::lines(FilesSinkOptions::to(output), |(word, count): &(String, u64), line| {
        line.extend_from_slice(format!("{word} {count}\n").as_bytes());
    });
    counts.sink_to("counts", sink);
    env
}

fn words(line: &str) -> Vec<String> {
    let words = line.split(|character: char| !character.is_alphanumeric());
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

fn main() -> Result<()> {
    let input = std::env::args().nth(1).unwrap_or_else(|| "README.md".to_owned());
    word_count(&input, "-").execute()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_has_its_count() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name| dir.path().join(name).display().to_string();
        let (input, output) = (path("input.txt"), path("output.txt"));
        std::fs::write(&input, "To be, or not to be:\n\nthat is the question.\n").unwrap();
        word_count(&input, &output).execute().unwrap();
        let output = std::fs::read_to_string(&output).unwrap();
        let mut lines: Vec<_> = output.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["be 2", "is 1", "not 1", "or 1", "question 1", "that 1", "the 1", "to 2"]);
    }
}
