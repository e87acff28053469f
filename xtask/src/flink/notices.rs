//! The licences of what is linked into a pipeline's library, for whoever hands the jar on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::shell::{cargo, output};
use crate::workspace::{Metadata, Package};

/// How files are called that must be handed on.
const NAMES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE"];

/// Packages with C sources keep those, and their licences, in a folder of their own.
const DEPTH: usize = 2;

/// The packages that `package` is linked with, and the texts that each one wants to be handed on. `options`
/// are those of cargo that choose features.
pub(super) fn of(package: &str, options: &[String], metadata: &Metadata) -> Result<String> {
    let mut tree = cargo(&["tree", "--locked", "--prefix", "none", "--edges", "normal,no-proc-macro"]);
    tree.args(["--format", "{p}", "--package", package]).args(options);
    let tree = output(&mut tree)?;
    let linked: BTreeSet<(&str, &str)> = tree.lines().filter_map(name_and_version).collect();
    let is_linked = |package: &&Package| linked.contains(&(package.name.as_str(), package.version.as_str()));
    let ours: BTreeSet<&Path> = metadata.members().map(|package| package.manifest_path.as_path()).collect();
    let foreign = |package: &&Package| !ours.contains(package.manifest_path.as_path());
    text(metadata.packages.iter().filter(is_linked).filter(foreign))
}

/// Of a line such as `zstd-sys v2.1.3+zstd.1.5.7 (*)`.
fn name_and_version(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split_whitespace();
    Some((words.next()?, words.next()?.strip_prefix('v')?))
}

fn text<'a>(packages: impl Iterator<Item = &'a Package>) -> Result<String> {
    let mut list = "The native libraries in this jar contain these packages:\n\n".to_owned();
    let mut owners: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in packages {
        let name = format!("{} {}", package.name, package.version);
        writeln!(list, "{name}: {}", package.license.as_deref().unwrap_or("see below"))?;
        for file in files(package.manifest_path.parent().unwrap_or(Path::new(".")), DEPTH)? {
            let text = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let owners = owners.entry(String::from_utf8_lossy(&text).trim().to_owned()).or_default();
            if owners.last() != Some(&name) {
                owners.push(name.clone());
            }
        }
    }
    for (text, owners) in owners {
        write!(list, "\n{}\n{}\n\n{text}\n", "=".repeat(80), owners.join(", "))?;
    }
    Ok(list)
}

fn files(dir: &Path, depth: usize) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() && depth > 1 {
            found.extend(files(&path, depth - 1)?);
        } else if path.is_file() && is_notice(&path) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn is_notice(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
    NAMES.iter().any(|notice| name.starts_with(notice)) && !name.ends_with(".RS")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_tree_is_a_name_and_a_version() {
        assert_eq!(
            name_and_version("zstd-sys v2.1.3+zstd.1.5.7 (*)"),
            Some(("zstd-sys", "2.1.3+zstd.1.5.7"))
        );
        assert_eq!(name_and_version(""), None);
    }

    #[test]
    fn this_package_is_linked_with_others_and_their_licences() -> Result<()> {
        let notices = of("xtask", &[], &Metadata::read()?)?;
        assert!(notices.contains("\nspdx ") && !notices.contains("\nmillstream-testkit "), "{notices:.500}");
        assert!(notices.contains("WITHOUT WARRANTY OF ANY KIND"), "{notices:.500}");
        Ok(())
    }
}
