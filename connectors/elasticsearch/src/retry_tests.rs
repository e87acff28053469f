use super::*;
use crate::response::Cause;

fn item(status: u16, kind: &str) -> Item {
    let cause = Cause { kind: kind.to_owned(), reason: Some("why".to_owned()), caused_by: None };
    Item { status, error: (status > 299).then_some(cause) }
}

fn name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Stale => "stale",
        Outcome::Retry { overloaded: true, .. } => "overloaded",
        Outcome::Retry { .. } => "retry",
        Outcome::DeadLetter(_) => "dead letter",
        Outcome::Unclear(_) => "unclear",
    }
}

// Statuses and types as Elasticsearch 7, 8, 9 and OpenSearch 2, 3 answer them.
#[test]
fn a_document_is_judged_by_status_and_type() {
    for (status, kind, wanted) in [
        (200, "", "done"),
        (201, "", "done"),
        (409, "version_conflict_engine_exception", "stale"),
        (400, "mapper_parsing_exception", "dead letter"),
        (400, "document_parsing_exception", "dead letter"),
        (400, "strict_dynamic_mapping_exception", "dead letter"),
        (400, "invalid_index_name_exception", "dead letter"),
        (413, "", "dead letter"),
        // Too many fields in the index, an alias without a write index, a pipeline that is not there, a term that is too long.
        (400, "illegal_argument_exception", "unclear"),
        (404, "some_new_exception", "unclear"),
        (400, "", "unclear"),
        (404, "index_not_found_exception", "retry"),
        (400, "index_closed_exception", "retry"),
        // As many shards as the cluster may have.
        (400, "validation_exception", "retry"),
        (429, "es_rejected_execution_exception", "overloaded"),
        (429, "rejected_execution_exception", "overloaded"),
        (429, "cluster_block_exception", "overloaded"),
        (500, "node_disconnected_exception", "retry"),
        (503, "unavailable_shards_exception", "retry"),
        (403, "cluster_block_exception", "retry"),
        (403, "security_exception", "retry"),
        (401, "security_exception", "retry"),
    ] {
        assert_eq!(name(&of_item(&item(status, kind))), wanted, "{status} {kind}");
    }
}

#[test]
fn a_dead_letter_says_why() {
    let outcome = of_item(&item(400, "mapper_parsing_exception"));
    assert_eq!(outcome, Outcome::DeadLetter("status 400: mapper_parsing_exception: why".to_owned()));
}

#[test]
fn a_request_is_judged_by_its_status() {
    let body = br#"{"error":{"type":"t","reason":"r"},"status":1}"#;
    for status in [429, 500, 502, 503, 504, 408] {
        let wanted = Reply::Retry { reason: format!("status {status}: t: r"), overloaded: status == 429 };
        assert_eq!(of_answer(status, body, 3), wanted);
    }
    let reason = |status| format!("status {status}: t: r");
    assert_eq!(of_answer(413, body, 3), Reply::Split(Outcome::DeadLetter(reason(413))));
    assert_eq!(of_answer(400, body, 3), Reply::Split(Outcome::Unclear(reason(400))));
}

// A proxy whose upstream is away for some seconds, a login that is being changed.
#[test]
fn what_comes_from_somebody_in_between_is_waited_for() {
    for status in [301, 400, 401, 403, 404, 405, 406, 502, 503] {
        let reply = of_answer(status, b"<html>404 page not found</html>", 3);
        assert!(matches!(reply, Reply::Retry { overloaded: false, .. }), "{status}: {reply:?}");
    }
    assert!(matches!(of_answer(413, b"<html>", 3), Reply::Split(_)), "a proxy has a limit, too");
}

#[test]
fn each_document_of_an_accepted_request_has_its_own_outcome() {
    let body = br#"{"items":[{"index":{"status":201}},{"index":{"status":429,"error":{"type":"e","reason":"busy"}}}]}"#;
    let retry = Outcome::Retry { reason: "status 429: e: busy".to_owned(), overloaded: true };
    assert_eq!(of_answer(200, body, 2), Reply::Items(vec![Outcome::Done, retry]));
}

#[test]
fn an_answer_that_does_not_fit_is_no_answer() {
    let one: &[u8] = br#"{"items":[{"index":{"status":201}}]}"#;
    for (body, documents) in [(one, 2), (one, 0), (&b"<html>"[..], 1), (&b"{}"[..], 1), (&b""[..], 1)] {
        assert!(matches!(of_answer(200, body, documents), Reply::Retry { overloaded: false, .. }));
    }
}

proptest::proptest! {
    // Whatever the status: never both lost and unnoticed.
    #[test]
    fn only_success_and_newer_versions_let_go_of_a_document(status in 100..1000_u16) {
        let outcome = of_item(&item(status, "any"));
        let let_go = matches!(outcome, Outcome::Done | Outcome::Stale);
        proptest::prop_assert_eq!(let_go, (200..300).contains(&status) || status == 409);
        let reply = of_answer(status, br#"{"items":[]}"#, 1);
        proptest::prop_assert!(!matches!(reply, Reply::Items(_)));
    }
}
