//! Ids of results that are too long for a store: the one rule for all sinks.
//!
//! An id of up to [`MAX_ID_BYTES`] bytes stays as it is. Of a longer one the beginning stays, and `~` and the
//! SHA-256 of the whole id follow, so that it is the same in every store and at every replay, and can be
//! computed anywhere: `printf %s "$id" | sha256sum`.

use compact_str::CompactString;
use sha2::{Digest, Sha256};

/// The longest id: what Elasticsearch and OpenSearch take.
pub const MAX_ID_BYTES: usize = 512;

const HASH_BYTES: usize = 64;
const MARK: char = '~';

/// The id that a store gets for this one: itself, or its beginning with a hash of all of it.
///
/// ```
/// use millstream_stage::id::{MAX_ID_BYTES, fitting};
///
/// assert_eq!(fitting("1min-page-/home-1511658000000".into()), "1min-page-/home-1511658000000");
/// let long = fitting("a".repeat(600).into());
/// assert_eq!(long.len(), MAX_ID_BYTES);
/// assert!(long.starts_with("aaa") && long.contains('~'));
/// ```
pub fn fitting(id: CompactString) -> CompactString {
    if id.len() <= MAX_ID_BYTES {
        return id;
    }
    let mut kept = MAX_ID_BYTES - HASH_BYTES - MARK.len_utf8();
    while !id.is_char_boundary(kept) {
        kept -= 1;
    }
    let mut fitting = CompactString::with_capacity(MAX_ID_BYTES);
    fitting.push_str(&id[..kept]);
    fitting.push(MARK);
    for byte in Sha256::digest(id.as_bytes()) {
        for digit in [byte >> 4, byte & 15] {
            fitting.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
    }
    fitting
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_stays() {
        for id in ["", "a", &"a".repeat(512), &"\u{6f22}".repeat(170)] {
            assert_eq!(fitting(id.into()), id);
        }
    }

    #[test]
    fn the_hash_is_that_of_the_whole_id() {
        let id = "a".repeat(513);
        let hash = "02425c0f5b0dabf3d2b9115f3f7723a02ad8bcfb1534a0d231614fd42b8188f6";
        assert_eq!(fitting(id.as_str().into()), format!("{}~{hash}", "a".repeat(447)));
    }

    #[test]
    fn ids_that_differ_only_at_their_ends_stay_apart() {
        let [one, other] = ["1", "2"].map(|end| fitting(format!("{}{end}", "a".repeat(40_000)).into()));
        assert_ne!(one, other);
    }

    #[test]
    fn no_character_is_cut() {
        for shift in 0..3 {
            let id = format!("{}{}", "a".repeat(shift), "\u{6f22}".repeat(300));
            let fitting = fitting(id.as_str().into());
            let (kept, hash) = fitting.split_once('~').unwrap();
            assert!(id.starts_with(kept) && kept.len() > 444 && hash.len() == 64, "{fitting}");
            assert!(fitting.len() <= MAX_ID_BYTES);
        }
    }
}
