use super::*;
use crate::response::Cause;

fn item(status: u16, kind: &str) -> Item {
    let cause = Cause { kind: kind.to_owned(), reason: Some("why".to_owned()), caused_by: None };
    Item { status, error: (status > 299).then_some(cause) }
}

fn name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Written => "done",
        Verdict::Stale => "stale",
        Verdict::Wait { overloaded: true, .. } => "overloaded",
        Verdict::Wait { .. } => "retry",
        Verdict::Refused(_) => "dead letter",
        Verdict::Unclear(_) => "unclear",
        Verdict::Stop(_) => "stop",
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
        // Too many fields in the index, an alias without a write index, a pipeline that is not there, a term
        // that is too long.
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
        (500, "i_o_exception", "retry"),
        (500, "fail_processor_exception", "unclear"),
        (500, "exception", "unclear"),
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
    let verdict = of_item(&item(400, "mapper_parsing_exception"));
    let Verdict::Refused(reason) = verdict else { panic!("{verdict:?}") };
    assert_eq!(reason, "status 400: mapper_parsing_exception: why");
}

#[test]
fn a_request_is_judged_by_its_status() {
    let body = br#"{"error":{"type":"t","reason":"r"},"status":1}"#;
    for status in [429, 500, 502, 503, 504, 408] {
        let reply = of_answer(status, body);
        let Reply::Wait { reason, overloaded } = &reply else { panic!("{reply:?}") };
        assert_eq!(
            (reason.as_str(), *overloaded),
            (format!("status {status}: t: r").as_str(), status == 429)
        );
    }
    assert!(
        matches!(of_answer(413, body), Reply::Halve(Verdict::Refused(reason)) if reason == "status 413: t: r")
    );
    assert!(
        matches!(of_answer(400, body), Reply::Halve(Verdict::Unclear(reason)) if reason == "status 400: t: r")
    );
}

// A proxy whose upstream is away for some seconds, a login that is being changed.
#[test]
fn what_comes_from_somebody_in_between_is_waited_for() {
    for status in [301, 400, 401, 403, 404, 405, 406, 502, 503] {
        let reply = of_answer(status, b"<html>404 page not found</html>");
        assert!(matches!(reply, Reply::Wait { overloaded: false, .. }), "{status}: {reply:?}");
    }
    assert!(matches!(of_answer(413, b"<html>"), Reply::Halve(_)), "a proxy has a limit, too");
}

#[test]
fn each_document_of_an_accepted_request_has_its_own_outcome() {
    let body = br#"{"items":[{"index":{"status":201}},{"index":{"status":429,"error":{"type":"e","reason":"busy"}}}]}"#;
    let reply = of_answer(200, body);
    let Reply::Items(verdicts) = &reply else { panic!("{reply:?}") };
    let Verdict::Wait { reason, overloaded: true } = &verdicts[1] else { panic!("{reply:?}") };
    assert!(matches!(verdicts[0], Verdict::Written) && reason == "status 429: e: busy", "{reply:?}");
}

#[test]
fn an_answer_that_does_not_fit_is_no_answer() {
    for body in [&b"<html>"[..], b"{}", b"", br#"{"items":[{"index":{"status":2"#] {
        assert!(matches!(of_answer(200, body), Reply::Wait { overloaded: false, .. }));
    }
}

proptest::proptest! {
    // Whatever the status: never both lost and unnoticed.
    #[test]
    fn only_success_and_newer_versions_let_go_of_a_document(status in 100..1000_u16) {
        let verdict = of_item(&item(status, "any"));
        let let_go = matches!(verdict, Verdict::Written | Verdict::Stale);
        proptest::prop_assert_eq!(let_go, (200..300).contains(&status) || status == 409);
        let reply = of_answer(status, b"{}");
        proptest::prop_assert!(!matches!(reply, Reply::Items(_)));
    }
}
