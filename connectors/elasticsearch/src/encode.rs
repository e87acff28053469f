//! The body of a bulk request: two lines per document, what to do and what to store.

use bytes::Bytes;
use millstream_delivery::Items;
use millstream_stage::Version;

use crate::item::Write;

/// Both lines of a document, and where the second one begins.
///
/// The action is always `index`: `update` takes no external version, and a delete's version is forgotten
/// after a minute.
pub(crate) fn lines(index: &str, id: &str, version: Version, body: &[u8]) -> (Vec<u8>, usize) {
    let mut out = Vec::with_capacity(index.len() + id.len() + body.len() + 96);
    out.extend_from_slice(b"{\"index\":{\"_index\":");
    json_string(index, &mut out);
    out.extend_from_slice(b",\"_id\":");
    json_string(id, &mut out);
    out.extend_from_slice(b",\"version\":");
    out.extend_from_slice(version.as_i64().to_string().as_bytes());
    out.extend_from_slice(b",\"version_type\":\"external\"}}\n");
    let body_at = out.len();
    out.extend_from_slice(body);
    out.push(b'\n');
    (out, body_at)
}

/// The whole body.
pub(crate) fn bulk(documents: &Items<'_, Write>) -> Bytes {
    let mut body = Vec::with_capacity(documents.iter().map(|(document, _)| document.lines().len()).sum());
    for (document, _) in documents.iter() {
        body.extend_from_slice(document.lines());
    }
    body.into()
}

fn json_string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a string has a JSON form, and a vector takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lines_are_json_whatever_the_id() {
        let id = "a \"quoted\"\nid \u{1F6D2}";
        let (lines, body_at) = lines("clicks", id, Version::new(3, 4).unwrap(), b"{\"n\":1}");
        assert_eq!(&lines[body_at..], b"{\"n\":1}\n");
        assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count(), 2);
        let action: serde_json::Value = serde_json::from_slice(&lines[..body_at]).unwrap();
        assert_eq!(
            action["index"],
            serde_json::json!({
                "_index": "clicks", "_id": id, "version": 3_298_534_883_332_i64, "version_type": "external",
            })
        );
    }
}
