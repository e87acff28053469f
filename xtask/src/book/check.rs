//! Whether all links lead somewhere, every chapter is in the table of contents, and no line of prose is too
//! long.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};

use super::markdown::{Document, WIDTH};

/// Documents outside of the book.
const OTHERS: [&str; 6] = [
    "README.md",
    "README.zh-CN.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "benches/RESULTS.md",
];
/// The chapters. A link out of this folder would lead nowhere in the built book.
const BOOK: &str = "docs/src";
const CONTENTS: &str = "docs/src/SUMMARY.md";
/// A chapter that the code writes: its lines are not broken by hand.
const GENERATED: &str = "docs/src/reference/configuration.md";

/// Every mistake in the documents of this checkout, with file and line.
pub(super) fn complaints(root: &Path) -> Result<Vec<String>> {
    let mut paths: Vec<PathBuf> = OTHERS.iter().map(PathBuf::from).collect();
    chapters(&root.join(BOOK), Path::new(BOOK), &mut paths)?;
    let mut documents = BTreeMap::new();
    for path in paths {
        let text = fs::read_to_string(root.join(&path));
        let text = text.with_context(|| format!("{} cannot be read", path.display()))?;
        documents.insert(path, Document::parse(&text));
    }
    Ok(judge(&documents, |path| root.join(path).exists()))
}

/// Adds the Markdown files below a folder.
fn chapters(folder: &Path, name: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = name.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            chapters(&entry.path(), &name, found)?;
        } else if name.extension().is_some_and(|extension| extension == "md") {
            found.push(name);
        }
    }
    Ok(())
}

/// Pure: documents by path, and whether a file is there.
fn judge(documents: &BTreeMap<PathBuf, Document>, exists: impl Fn(&Path) -> bool) -> Vec<String> {
    let mut complaints = Vec::new();
    for (path, document) in documents {
        let file = path.display();
        for link in document.links.iter().filter(|link| !is_external(&link.target)) {
            if let Err(why) = follow(documents, path, &link.target, &exists) {
                complaints.push(format!("{file}:{}: the link {} {why}", link.line, link.target));
            }
        }
        for (line, length) in document.long_lines.iter().filter(|_| path.as_path() != Path::new(GENERATED)) {
            complaints
                .push(format!("{file}:{line}: {length} characters: break the line at {WIDTH} at the latest"));
        }
    }
    complaints.extend(unlisted(documents));
    complaints
}

fn is_external(target: &str) -> bool {
    target.contains("://") || target.starts_with("mailto:")
}

fn follow(
    documents: &BTreeMap<PathBuf, Document>,
    from: &Path,
    target: &str,
    exists: impl Fn(&Path) -> bool,
) -> Result<(), String> {
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if path.is_empty() { from.to_owned() } else { resolve(from, path) };
    if from.starts_with(BOOK) && !path.starts_with(BOOK) {
        return Err("leaves the book: name the file in code instead".to_owned());
    }
    if !exists(&path) {
        return Err("leads to no file".to_owned());
    }
    let known = |document: &Document| document.anchors.iter().any(|known| known == anchor);
    match documents.get(&path) {
        Some(document) if !anchor.is_empty() && !known(document) => {
            Err(format!("leads to no heading; there are: {}", document.anchors.join(", ")))
        }
        _ => Ok(()),
    }
}

/// The path of a link, relative to the root of the checkout.
fn resolve(from: &Path, target: &str) -> PathBuf {
    let mut path = from.parent().map(Path::to_owned).unwrap_or_default();
    for part in Path::new(target).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            Component::Normal(name) => path.push(name),
            _ => {}
        }
    }
    path
}

/// Chapters that the table of contents does not name.
fn unlisted(documents: &BTreeMap<PathBuf, Document>) -> Vec<String> {
    let contents = Path::new(CONTENTS);
    let Some(summary) = documents.get(contents) else {
        return vec![format!("{CONTENTS} is missing")];
    };
    let listed: BTreeSet<_> = summary.links.iter().map(|link| resolve(contents, &link.target)).collect();
    let chapters = documents.keys().filter(|path| path.starts_with(BOOK) && path.as_path() != contents);
    let missing = chapters.filter(|path| !listed.contains(*path));
    missing.map(|path| format!("{CONTENTS}: the chapter {} is not listed", path.display())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(files: &[(&str, &str)]) -> Vec<String> {
        let documents: BTreeMap<_, _> =
            files.iter().map(|(path, text)| (PathBuf::from(path), Document::parse(text))).collect();
        judge(&documents, |path| documents.contains_key(path))
    }

    #[test]
    fn right_links_are_no_complaint() {
        let files = [
            ("README.md", "[book](docs/src/a.md#one), [out](https://example.org), [here](#top)\n# Top\n"),
            ("docs/src/SUMMARY.md", "- [A](a.md)\n- [B](b/c.md)\n"),
            ("docs/src/a.md", "# One\n[b](b/c.md)\n"),
            ("docs/src/b/c.md", "# Two\n[a](../a.md#one)\n"),
        ];
        assert_eq!(judged(&files), Vec::<String>::new());
    }

    #[test]
    fn each_mistake_is_named_with_its_place() {
        let files = [
            ("README.md", "\n[gone](docs/src/gone.md)\n"),
            ("docs/src/SUMMARY.md", "- [A](a.md)\n"),
            ("docs/src/a.md", "# One\n[x](#two) [out](../../README.md)\n"),
            ("docs/src/b.md", "# Three\n"),
        ];
        let complaints = judged(&files).join("\n");
        for wanted in [
            "README.md:2: the link docs/src/gone.md leads to no file",
            "docs/src/a.md:2: the link #two leads to no heading; there are: one",
            "docs/src/a.md:2: the link ../../README.md leaves the book",
            "docs/src/SUMMARY.md: the chapter docs/src/b.md is not listed",
        ] {
            assert!(complaints.contains(wanted), "{wanted}\n{complaints}");
        }
    }

    #[test]
    fn the_documents_of_this_checkout_are_whole() -> Result<()> {
        assert_eq!(complaints(&crate::workspace::root())?, Vec::<String>::new());
        Ok(())
    }
}
