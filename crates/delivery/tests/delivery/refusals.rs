//! Items that are refused: whose fault it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use millstream_delivery::{MOST_REFUSALS, Verdict};

use crate::script::{Row, Script, ScriptedReply, UNFIT, counted, rows, trouble, turn_for};

fn unclear(_: Row) -> Verdict {
    Verdict::Unclear("a limit is reached".to_owned())
}

fn wait(_: Row) -> Verdict {
    Verdict::Wait { reason: "the index is closed".to_owned(), overloaded: false }
}

#[test]
fn what_is_wrong_with_one_item_is_a_dead_letter_and_the_rest_is_written() {
    let script = Script::default();
    script.judge(
        |row| if row.0 % 10 == 3 { Verdict::Refused("no number".to_owned()) } else { Verdict::Written },
    );
    let mut writer = script.writer();
    let mut all = rows(0..100);
    all.push((UNFIT, 0));
    writer.write(all).unwrap();
    writer.flush().unwrap();
    assert_eq!(script.rows().len(), 90);
    assert_eq!((writer.dead_letters().len(), counted(&writer, "retries")), (11, 0));
    let letter = writer.dead_letters().iter().find(|letter| letter.raw == b"13").unwrap();
    assert_eq!((letter.reason.as_str(), letter.stage.as_str()), ("key 13: no number", "scripted"));
    assert_eq!(trouble(&writer), None);
}

#[test]
fn what_the_store_says_passes_waits_for_ever_and_catches_up() {
    let script = Script::default();
    let mut writer = script.writer();
    writer.write(rows(0..50)).unwrap();
    writer.flush().unwrap();
    script.judge(wait);
    writer.write(rows(50..100)).unwrap();
    turn_for(&mut writer, 3_600_000).unwrap();
    assert!(trouble(&writer).unwrap().contains("the index is closed"));
    // A newer one takes the place of what waits.
    writer.write(vec![(60, 7)]).unwrap();
    script.judge(|_| Verdict::Written);
    writer.flush().unwrap();
    let mut expected = rows(0..100);
    expected[60].1 = 7;
    assert_eq!((script.rows(), writer.dead_letters().len(), trouble(&writer)), (expected, 0, None));
}

#[test]
fn an_unknown_refusal_that_meets_all_alike_waits() {
    let script = Script::default();
    let mut writer = script.writer();
    writer.write(rows(0..50)).unwrap();
    writer.flush().unwrap();
    script.judge(unclear);
    for from in (50..100).step_by(5) {
        writer.write(rows(from..from + 5)).unwrap();
        turn_for(&mut writer, 10_000).unwrap();
    }
    assert!(trouble(&writer).unwrap().contains("a limit is reached"));
    assert!(writer.dead_letters().is_empty());
    script.judge(|_| Verdict::Written);
    writer.flush().unwrap();
    assert_eq!((script.rows(), trouble(&writer)), (rows(0..100), None));
}

#[test]
fn an_unknown_refusal_of_one_item_while_others_pass_is_a_dead_letter_after_some() {
    let script = Script::default();
    script.judge(|row| if row.0 == 7 { unclear(row) } else { Verdict::Written });
    let mut writer = script.writer();
    writer.write(rows(0..20)).unwrap();
    writer.flush().unwrap();
    assert_eq!((script.rows().len(), writer.dead_letters().len()), (19, 1));
    assert_eq!(counted(&writer, "retries"), u64::from(MOST_REFUSALS) - 1);
    assert_eq!(trouble(&writer), None);
}

// Nothing else is to be written, as at the end of a bounded input: what is in the store already tells that
// the item is at fault.
#[test]
fn an_unknown_refusal_of_what_comes_last_does_not_wait_for_ever() {
    let script = Script::default();
    script.judge(|row| if row.0 >= 20 { unclear(row) } else { Verdict::Written });
    let mut writer = script.writer();
    writer.write(rows(0..20)).unwrap();
    writer.flush().unwrap();
    for last in [20..21, 21..25] {
        writer.write(rows(last)).unwrap();
        writer.flush().unwrap();
    }
    assert_eq!((script.rows(), writer.dead_letters().len()), (rows(0..20), 5));
    assert_eq!(trouble(&writer), None);
}

#[test]
fn an_unknown_refusal_of_what_comes_last_waits_while_the_store_refuses_what_it_has_taken_before() {
    let script = Script::default();
    let mut writer = script.writer();
    writer.write(rows(0..20)).unwrap();
    writer.flush().unwrap();
    script.judge(unclear);
    writer.write(rows(20..21)).unwrap();
    turn_for(&mut writer, 3_600_000).unwrap();
    assert!(trouble(&writer).unwrap().contains("a limit is reached"));
    let frozen = writer.checkpoint(1).unwrap();
    assert!((1..=2).contains(&frozen.lists[0].items.len()), "the row, and what it is compared with");
    script.judge(|_| Verdict::Written);
    writer.flush().unwrap();
    assert_eq!((script.rows(), writer.dead_letters().len(), trouble(&writer)), (rows(0..21), 0, None));
}

// One request in five meets a store that refuses everything for an unknown reason: nobody is blamed for that.
#[test]
fn a_store_that_refuses_everything_now_and_then_makes_no_dead_letters() {
    let script = Script::default();
    let mut writer = script.writer();
    for round in 0..40 {
        if round % 5 == 4 {
            script.judge(unclear);
        } else {
            script.judge(|_| Verdict::Written);
        };
        writer.write(rows(round * 10..round * 10 + 10)).unwrap();
        turn_for(&mut writer, 3_000).unwrap();
    }
    script.judge(|_| Verdict::Written);
    writer.flush().unwrap();
    assert_eq!((script.rows(), writer.dead_letters().len()), (rows(0..400), 0));
}

// Halving finds no culprit, makes no storm and no dead letters.
#[test]
fn whole_requests_that_are_refused_alike_are_not_blamed_on_their_items() {
    let well = Arc::<AtomicBool>::default();
    let now = Arc::clone(&well);
    let script = Script::default()
        .weather(move |_| if now.load(Relaxed) { ScriptedReply::Well } else { ScriptedReply::Malformed });
    let mut writer = script.writer();
    writer.write(rows(0..100)).unwrap();
    turn_for(&mut writer, 600_000).unwrap();
    let requests = script.state().requests;
    assert!(requests < 1_000, "{requests} requests in ten minutes");
    assert!(trouble(&writer).unwrap().contains("malformed"));
    well.store(true, Relaxed);
    writer.flush().unwrap();
    assert_eq!((script.rows(), writer.dead_letters().len()), (rows(0..100), 0));
}

#[test]
fn one_item_that_spoils_its_requests_is_found_by_halving() {
    let script = Script::default();
    let spoilt = script.clone();
    let script = script
        .weather(move |_| if spoilt.carries(33) { ScriptedReply::Malformed } else { ScriptedReply::Well });
    let mut writer = script.writer();
    writer.write(rows(0..100)).unwrap();
    writer.flush().unwrap();
    assert_eq!((script.rows().len(), writer.dead_letters().len()), (99, 1));
    assert!(writer.dead_letters()[0].reason.contains("key 33"), "{}", writer.dead_letters()[0].reason);
}
