//! What the store answers, as far as it is read.

use serde::Deserialize;

/// Asks for no more than is read: a bulk answer is otherwise longer than most requests.
pub(crate) const FILTER: &str =
    "items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by.reason,error,status";

/// The answer to a bulk request: one item per action, in order.
#[derive(Debug, Deserialize)]
pub(crate) struct BulkAnswer {
    pub(crate) items: Vec<Action>,
}

/// What became of one action; ours are all of the kind `index`.
#[derive(Debug, Deserialize)]
pub(crate) struct Action {
    pub(crate) index: Item,
}

/// What became of one document.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Item {
    pub(crate) status: u16,
    pub(crate) error: Option<Cause>,
}

/// Why, in the store's words.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Cause {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) reason: Option<String>,
    pub(crate) caused_by: Option<Box<Cause>>,
}

impl Cause {
    /// Type, reason and the reason's cause in one line.
    pub(crate) fn describe(&self) -> String {
        let causes = std::iter::successors(Some(self), |cause| cause.caused_by.as_deref());
        let reasons: Vec<_> = causes.filter_map(|cause| cause.reason.as_deref()).collect();
        match (self.kind.as_str(), reasons.join(": ")) {
            ("", reasons) => reasons,
            (kind, reasons) if reasons.is_empty() => kind.to_owned(),
            (kind, reasons) => format!("{kind}: {reasons}"),
        }
    }
}

/// An answer that refuses the whole request.
#[derive(Debug, Deserialize)]
struct ErrorBody {
    error: ErrorBodyCause,
}

// Some errors of the HTTP layer are a mere sentence.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum ErrorBodyCause {
    Cause(Cause),
    Text(String),
}

/// Why the whole request was refused. What is no JSON (a proxy's page) is quoted, cut short.
pub(crate) fn describe_refusal(body: &[u8]) -> String {
    const QUOTED: usize = 200;
    match serde_json::from_slice::<ErrorBody>(body) {
        Ok(ErrorBody { error: ErrorBodyCause::Cause(cause) }) => cause.describe(),
        Ok(ErrorBody { error: ErrorBodyCause::Text(text) }) => text,
        Err(_) => String::from_utf8_lossy(&body[..body.len().min(QUOTED)]).trim().to_owned(),
    }
}

/// The type of the error for which the store has refused the whole request; none if the answer is somebody
/// else's.
pub(crate) fn refusal_type(body: &[u8]) -> Option<String> {
    match serde_json::from_slice::<ErrorBody>(body).ok()?.error {
        ErrorBodyCause::Cause(cause) if !cause.kind.is_empty() => Some(cause.kind),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_described_whatever_their_form() {
        let structured = br#"{"error":{"root_cause":[],"type":"parse_exception","reason":"request body is required"},"status":400}"#;
        assert_eq!(describe_refusal(structured), "parse_exception: request body is required");
        assert_eq!(
            describe_refusal(br#"{"error":"Incorrect HTTP method","status":405}"#),
            "Incorrect HTTP method"
        );
        assert_eq!(describe_refusal(b"<html>Bad Gateway</html>\n"), "<html>Bad Gateway</html>");
        assert_eq!(describe_refusal(&[b'x'; 5000]).len(), 200);
        assert_eq!(refusal_type(structured).as_deref(), Some("parse_exception"));
        for foreign in [&br#"{"error":"Bad Request","status":400}"#[..], b"<html>", b""] {
            assert_eq!(refusal_type(foreign), None);
        }
    }

    #[test]
    fn a_cause_is_told_to_its_root() {
        let json = r#"{"type":"document_parsing_exception","reason":"failed to parse field [n]",
            "caused_by":{"type":"illegal_argument_exception","reason":"For input string: \"zzz\""}}"#;
        let cause: Cause = serde_json::from_str(json).unwrap();
        assert_eq!(
            cause.describe(),
            "document_parsing_exception: failed to parse field [n]: For input string: \"zzz\""
        );
    }
}
