//! The keys of a configuration that every pipeline has, and which texts are keys.

use serde_json::Value;

use crate::state_keys::{STORAGE_MAP, is_state_key};

/// Keys that every pipeline has; the rest belongs to the application.
pub(crate) const KEYS: [&str; 9] = [
    "pipeline.name",
    "pipeline.max-parallelism",
    "parallelism.default",
    "job.dir",
    "runtime",
    "rest.bind-address",
    "rest.port",
    "rest.password",
    "rest.password-file",
];

/// Whether a key of the top level is, or is meant to be, one that every pipeline has.
pub(crate) fn is_ours(key: &str) -> bool {
    key.contains('.') || is_near_ours(key)
}

fn is_near_ours(key: &str) -> bool {
    KEYS.iter().any(|known| strsim::damerau_levenshtein(key, known) <= 2)
}

/// Whether a key with dots is one key, and no path into a map.
pub(crate) fn is_dotted_key(key: &str) -> bool {
    // One that is nearly a key is refused with that key's name.
    is_near_ours(key) || is_state_key(key) && key != STORAGE_MAP && !key.starts_with("storage.")
}

// Only `true` and `false` are booleans: a host called `no` stays a text. Errors name the line, and do not
// show it: secrets may stand there.
pub(crate) fn yaml(text: &str) -> Result<Value, serde_saphyr::Error> {
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    serde_saphyr::from_str_with_options(text, options)
}
