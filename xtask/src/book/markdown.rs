//! What a check needs to know about a Markdown file: its headings, its links, its lines of prose.

use std::collections::BTreeMap;

/// A link, and the line that it is in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) line: usize,
    pub(super) target: String,
}

/// A Markdown file.
#[derive(Debug, Default)]
pub(super) struct Document {
    /// The anchors of its headings, as mdBook and GitHub make them.
    pub(super) anchors: Vec<String>,
    pub(super) links: Vec<Link>,
    /// Lines of prose that are longer than [`WIDTH`], with their lengths.
    pub(super) long_lines: Vec<(usize, usize)>,
}

/// The longest line of prose, in characters. Tables and code may be longer.
pub(super) const WIDTH: usize = 110;

impl Document {
    pub(super) fn parse(text: &str) -> Self {
        let mut document = Self::default();
        let mut seen = BTreeMap::new();
        for (number, line) in prose(text) {
            if let Some(heading) = heading(line) {
                document.anchors.push(anchor(heading, &mut seen));
            }
            document.links.extend(links(line).map(|target| Link { line: number, target }));
            let length = line.chars().count();
            if length > WIDTH && !line.starts_with('|') {
                document.long_lines.push((number, length));
            }
        }
        document
    }
}

/// The lines outside of fenced code, numbered from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !fence && !in_code
    })
}

fn heading(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    (text.len() < line.len()).then(|| text.strip_prefix(' ')).flatten()
}

/// The anchor of a heading; a second heading of the same text gets a number.
fn anchor(heading: &str, seen: &mut BTreeMap<String, usize>) -> String {
    let plain: String = heading
        .trim()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            '-' | '_' => Some(c),
            c if c.is_alphanumeric() => Some(c),
            _ => None,
        })
        .flat_map(char::to_lowercase)
        .collect();
    let count = seen.entry(plain.clone()).or_default();
    *count += 1;
    if *count == 1 { plain } else { format!("{plain}-{}", *count - 1) }
}

/// The targets of `[text](target)` in a line, those in inline code apart.
fn links(line: &str) -> impl Iterator<Item = String> {
    let visible: Vec<&str> = line.split('`').step_by(2).collect();
    // The text of a link may be code; its target never is.
    let joined = visible.join("");
    let targets: Vec<_> = joined
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.to_owned())
        .collect();
    targets.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_become_anchors_and_code_has_none() {
        let text = "# One process\n```sh\n# no heading\n```\n## `stop` and *drain*\n## One process\n#hash\n";
        assert_eq!(Document::parse(text).anchors, ["one-process", "stop-and-drain", "one-process-1"]);
    }

    #[test]
    fn links_are_found_in_prose_and_tables_and_not_in_code() {
        let text = "see [a](a.md#x) and [`b`](b.md)\n| [c](c.md) | `[d](d.md)` |\n```\n[e](e.md)\n```\n";
        let link = |line, target: &str| Link { line, target: target.to_owned() };
        assert_eq!(Document::parse(text).links, [link(1, "a.md#x"), link(1, "b.md"), link(2, "c.md")]);
    }

    #[test]
    fn prose_has_a_width_and_tables_and_code_have_none() {
        let long = "x".repeat(WIDTH + 1);
        let text = format!("{long}\n| {long} |\n```\n{long}\n```\n{}\n", "中".repeat(WIDTH));
        assert_eq!(Document::parse(&text).long_lines, [(1, WIDTH + 1)]);
    }
}
