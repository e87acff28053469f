//! What a record becomes in the store.

use compact_str::CompactString;
use millstream_stage::id::fitting;
use serde::Serialize;

/// One document: index, id and body.
///
/// The id must follow from the record alone (metric, dimensions, window start), so that a replay writes the
/// same documents again; and all records of one id must come from one subtask, which they do where the stream
/// is keyed by what the id is made of.
#[derive(Clone, Debug)]
pub struct Document {
    pub(crate) index: CompactString,
    pub(crate) id: CompactString,
    pub(crate) body: Result<Vec<u8>, String>,
}

impl Document {
    /// A document. An id of more than 512 bytes, which the store would refuse, is shortened as [`fitting`]
    /// says. The body must serialise to a JSON object. What cannot be serialised goes to the dead letter.
    pub fn new(index: impl Into<CompactString>, id: impl Into<CompactString>, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).map(one_line);
        Self { index: index.into(), id: fitting(id.into()), body: body.map_err(|error| error.to_string()) }
    }

    /// Why this document can never be written, if so.
    pub(crate) fn fault(&self, max_bytes: usize) -> Option<String> {
        let body = match &self.body {
            Err(reason) => return Some(format!("it cannot be written as JSON: {reason}")),
            Ok(body) => body,
        };
        match self.id.len() {
            _ if self.index.is_empty() => Some("its index has no name".to_owned()),
            0 => Some("its id is empty".to_owned()),
            _ if body.first() != Some(&b'{') => Some("its body is not a JSON object".to_owned()),
            _ if body.len() > max_bytes => {
                Some(format!("its body has {} bytes, document.max-size allows {max_bytes}", body.len()))
            }
            _ => None,
        }
    }
}

// Raw JSON may come with line breaks, which end an action in a bulk request. Within strings they are always
// escaped, so that the others are mere white space.
fn one_line(mut body: Vec<u8>) -> Vec<u8> {
    let mut from = 0;
    while let Some(at) = memchr::memchr2(b'\n', b'\r', &body[from..]) {
        from += at;
        body[from] = b' ';
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_between_tokens_become_spaces() {
        let document = Document::new("i", "1", &serde_json::json!({ "text": "a\nb" }));
        assert_eq!(document.body.unwrap(), br#"{"text":"a\nb"}"#);
        assert_eq!(one_line(b"{\n\"a\":\r\n1}\n".to_vec()), b"{ \"a\":  1} ");
    }

    #[test]
    fn what_can_never_be_written_is_found_before_it_spoils_a_request() {
        let body = serde_json::json!({ "n": 1 });
        let fault = |index: &str, id: &str| Document::new(index, id, &body).fault(100);
        assert_eq!(fault("i", "1"), None);
        assert_eq!(fault("i", &"x".repeat(512)), None);
        assert_eq!(fault("i", &"x".repeat(40_000)), None, "it is shortened");
        assert!(fault("i", "").is_some() && fault("", "1").is_some());
        assert!(Document::new("i", "1", &7).fault(100).is_some_and(|reason| reason.contains("object")));
        assert!(
            Document::new("i", "1", &body)
                .fault(3)
                .is_some_and(|reason| reason.contains("document.max-size"))
        );
        let no_text_key = std::collections::BTreeMap::from([((1, 2), 3)]);
        assert!(
            Document::new("i", "1", &no_text_key).fault(100).is_some_and(|reason| reason.contains("JSON"))
        );
    }
}
