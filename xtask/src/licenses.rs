//! Whether every dependency's licence is on the list in `deny.toml`.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use spdx::{Expression, Licensee, ParseMode};

use crate::workspace::{self, Metadata};

#[derive(Debug, Deserialize)]
struct Deny {
    licenses: Licenses,
}

#[derive(Debug, Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

/// Fails with the names of the packages that are under none of the allowed licences.
pub(crate) fn check(metadata: &Metadata) -> Result<()> {
    let path = workspace::root().join("deny.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let allowed = parse_allowed(&text)?;
    let refused = |license: &str| !permits(license, &allowed);
    let names: Vec<String> = metadata
        .packages
        .iter()
        .filter(|package| package.license.as_deref().is_none_or(refused))
        .map(|package| {
            let license = package.license.as_deref().unwrap_or("no licence");
            format!("{} {} ({license})", package.name, package.version)
        })
        .collect();
    let list = names.join("\n  ");
    ensure!(
        names.is_empty(),
        "not under a licence that deny.toml allows:\n  {list}\nremove them, or extend the list"
    );
    Ok(())
}

fn parse_allowed(text: &str) -> Result<Vec<Licensee>> {
    let deny: Deny = toml::from_str(text).context("cannot read deny.toml")?;
    let licensee = |name: &String| {
        Licensee::parse(name).with_context(|| format!("deny.toml: {name} is no SPDX licence"))
    };
    deny.licenses.allow.iter().map(licensee).collect()
}

fn permits(license: &str, allowed: &[Licensee]) -> bool {
    // Lax: older packages write MIT/Apache-2.0 for a choice.
    let Ok(expression) = Expression::parse_mode(license, ParseMode::LAX) else {
        return false;
    };
    expression.evaluate(|requirement| allowed.iter().any(|licensee| licensee.satisfies(requirement)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_needs_one_allowed_and_a_sum_all() -> Result<()> {
        let allowed = parse_allowed("[licenses]\nallow = ['MIT', 'Apache-2.0 WITH LLVM-exception']")?;
        let verdict = |license| permits(license, &allowed);
        assert!(verdict("MIT") && verdict("GPL-3.0-only OR MIT") && verdict("MIT/Apache-2.0"));
        assert!(verdict("Apache-2.0 WITH LLVM-exception"));
        assert!(!verdict("Apache-2.0") && !verdict("MIT AND ISC") && !verdict("my own"));
        Ok(())
    }
}
