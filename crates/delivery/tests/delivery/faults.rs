//! Requests that fail as a whole: what is repeated, how often, and what the log hears.

use std::time::Duration;

use millstream_delivery::Limits;
use millstream_record::ErrorKind;

use crate::script::{Script, ScriptedReply, counted, limits, rows, trouble, turn_for};

#[test]
fn an_outage_pauses_longer_and_longer_and_is_one_trouble() {
    let script = Script::default()
        .weather(|number| if number < 30 { ScriptedReply::Lost } else { ScriptedReply::Well });
    let mut writer = script.writer();
    writer.write(rows(0..10)).unwrap();
    let turns = turn_for(&mut writer, 60_000).unwrap();
    let requests = script.state().requests;
    assert!((7..=20).contains(&requests), "{requests} requests in a minute, with pauses up to 10 s");
    assert!(turns <= 4 * requests + 10, "{turns} turns for {requests} requests: it wakes for nothing");
    assert!(trouble(&writer).unwrap().contains("the connection is broken"));
    writer.flush().unwrap();
    assert_eq!(script.rows(), rows(0..10));
    assert_eq!(trouble(&writer), None);
    assert!(counted(&writer, "retries") >= 30);
}

// Nobody ends a job for good by taking a right away for a while.
#[test]
fn what_is_forbidden_in_mid_run_was_allowed_before_and_is_waited_for() {
    let script = Script::default().weather(|number| match number {
        1..10 => ScriptedReply::Forbidden,
        _ => ScriptedReply::Well,
    });
    let mut writer = script.writer();
    writer.write(rows(0..10)).unwrap();
    writer.flush().unwrap();
    writer.write(rows(10..20)).unwrap();
    turn_for(&mut writer, 1_000).unwrap();
    assert!(trouble(&writer).unwrap().contains("the file is read-only"));
    writer.flush().unwrap();
    assert_eq!((script.rows(), trouble(&writer)), (rows(0..20), None));
}

#[test]
fn a_flush_ends_the_pause_at_once() {
    let hour = Duration::from_secs(3600);
    let script = Script::default()
        .limits(Limits { first_pause: hour, longest_pause: hour, ..limits() })
        .weather(|number| if number == 0 { ScriptedReply::Lost } else { ScriptedReply::Well });
    let mut writer = script.writer();
    writer.write(rows(0..10)).unwrap();
    turn_for(&mut writer, 1_000).unwrap();
    assert_eq!((script.rows(), script.state().requests), (vec![], 1));
    let before = writer.harness().clock().now();
    writer.flush().unwrap();
    assert_eq!(script.rows(), rows(0..10));
    assert!(writer.harness().clock().now() - before < 1_000, "it waited for the pause");
}

#[test]
fn a_store_that_pushes_back_gets_fewer_and_smaller_requests_and_later_more_again() {
    let script = Script::default().weather(|number| match number {
        10..20 => ScriptedReply::Busy,
        _ => ScriptedReply::Slow(Duration::from_millis(50)),
    });
    let mut writer = script.writer();
    for part in rows(0..2000).chunks(50) {
        writer.write(part.to_vec()).unwrap();
    }
    writer.flush().unwrap();
    assert_eq!(script.rows(), rows(0..2000));
    assert_eq!(script.state().most_at_once, 3);
    assert!(counted(&writer, "rejected") > 0);
}

#[test]
fn too_large_requests_are_halved_until_they_fit() {
    let script = Script::default().weather(|_| ScriptedReply::TooLarge(3));
    let mut writer = script.writer();
    writer.write(rows(0..100)).unwrap();
    writer.flush().unwrap();
    assert_eq!((script.rows(), writer.dead_letters().len()), (rows(0..100), 0));
    let nothing_fits = Script::default().weather(|_| ScriptedReply::TooLarge(1));
    let mut writer = nothing_fits.writer();
    writer.write(rows(0..7)).unwrap();
    writer.flush().unwrap();
    assert_eq!((nothing_fits.rows(), writer.dead_letters().len()), (vec![], 7));
    assert!(writer.dead_letters()[0].reason.contains("too large"), "{}", writer.dead_letters()[0].reason);
}

#[test]
fn a_request_that_is_never_answered_is_lost_after_a_while() {
    let script = Script::default().weather(|number| match number {
        0..3 => ScriptedReply::Never { written: number == 1 },
        _ => ScriptedReply::Well,
    });
    let mut writer = script.writer();
    writer.write(rows(0..60)).unwrap();
    turn_for(&mut writer, 10_000).unwrap();
    assert_eq!(script.state().requests, 3, "all that may be in flight");
    writer.flush().unwrap();
    assert_eq!(script.rows(), rows(0..60));
}

#[test]
fn a_store_that_stays_away_blocks_the_writer_and_holds_no_more_than_the_buffer() {
    let script = Script::default().weather(|_| ScriptedReply::Lost);
    let mut writer = script.writer();
    let mut taken = 0;
    while writer.pace().takes_data() {
        writer.write(rows(taken..taken + 10)).unwrap();
        taken += 10;
        assert!(taken < 1_000, "it takes everything");
    }
    // Time alone makes no room.
    turn_for(&mut writer, 120_000).unwrap();
    assert!(!writer.pace().takes_data());
    let frozen = writer.checkpoint(1).unwrap();
    assert_eq!(frozen.lists[0].items.len() as u64, taken);
}

#[test]
fn hot_ids_fold_and_never_meet_themselves() {
    let script = Script::default().weather(|_| ScriptedReply::Slow(Duration::from_millis(100)));
    let mut writer = script.writer();
    for value in 0..2_000 {
        writer.write(vec![(1, value), (2, value)]).unwrap();
        writer.resume().unwrap();
    }
    writer.flush().unwrap();
    assert_eq!(script.rows(), [(1, 1_999), (2, 1_999)]);
    assert!(counted(&writer, "folded") > 3_900);
    assert_eq!(counted(&writer, "stale"), 0);
    let metrics = writer.harness().metrics().operator("sink");
    assert_eq!(metrics.latency.histogram().len(), 4_000, "each record is acknowledged once, folded ones too");
}

#[test]
fn what_is_repeated_for_too_long_restarts_the_job() {
    let limits = Limits { give_up: Some(Duration::from_secs(20)), ..limits() };
    let script = Script::default().limits(limits).weather(|_| ScriptedReply::Lost);
    let mut writer = script.writer();
    writer.write(rows(0..3)).unwrap();
    let error = writer.flush().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Restart);
    for part in ["key ", "20 s", "give-up", "the connection is broken"] {
        assert!(error.to_string().contains(part), "{error}");
    }
}
