//! Relative paths: what callers may write, and what is our own.

use millstream_record::{Error, Result};
use millstream_stage::chance::Chance;

/// What files in the making are called: hidden from listings, and to be swept if their writer died.
const DRAFT: &str = ".part-";

/// `path`, if every store can hold a file of that name.
///
/// # Errors
/// [`ErrorKind::Bug`](millstream_record::ErrorKind::Bug): names are made by Millstream, never by a user.
pub(super) fn checked(path: &str) -> Result<&str> {
    if path.split('/').all(is_segment) {
        Ok(path)
    } else {
        Err(Error::bug(format!("{path:?} is no relative path")))
    }
}

/// `base/path`, of which either may be empty.
pub(super) fn join(base: &str, path: &str) -> String {
    match (base.is_empty(), path.is_empty()) {
        (true, _) => path.to_owned(),
        (_, true) => base.to_owned(),
        _ => format!("{base}/{path}"),
    }
}

/// A name for a file in the making that nobody else uses, on any machine.
pub(super) fn draft_name(chance: &Chance) -> String {
    format!("{DRAFT}{:016x}", chance.bits())
}

/// Whether a file of this name is in the making, or was when its writer died.
pub(super) fn is_draft(name: &str) -> bool {
    name.starts_with(DRAFT)
}

fn is_segment(segment: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.=+,@~".contains(&byte);
    !segment.is_empty() && !segment.starts_with('.') && segment.len() <= 255 && segment.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_paths_are_taken() {
        for good in ["a", "chk-1-2/manifest", "shared/3-000012.sst", "_metadata"] {
            assert_eq!(checked(good).unwrap(), good);
        }
        for bad in ["", "/a", "a/", "a//b", "../a", "a/..", "a/.part-1", "a b", "a:b", "a%2e", "ü"] {
            assert!(checked(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn drafts_have_names_that_callers_cannot_have() {
        let chance = Chance::seeded(1);
        let (one, two) = (draft_name(&chance), draft_name(&chance));
        assert_ne!(one, two);
        assert!(is_draft(&one) && checked(&one).is_err());
    }
}
