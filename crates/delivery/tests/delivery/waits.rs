//! The wait at the start.

use std::sync::Arc;
use std::time::Duration;

use millstream_delivery::{Limits, NotReady};
use millstream_record::{Error, ErrorKind};
use millstream_sim::{Harness, Simulated};
use millstream_stage::{Budget, Rows};

use crate::script::{Row, Script, limits, rows, trouble, turn_for};

fn away(attempts: usize) -> Script {
    Script::default().gate(move |attempt| match attempt < attempts {
        true => Err(NotReady::Wait("connection refused".to_owned())),
        false => Ok(()),
    })
}

#[test]
fn a_store_that_is_away_is_waited_for_and_said_to_be_so_once() {
    let script = away(8);
    let mut writer = script.writer();
    writer.write(rows(0..10)).unwrap();
    let turns = turn_for(&mut writer, 5_000).unwrap();
    let starts = script.state().starts;
    assert!((4..=8).contains(&starts), "{starts} attempts in 5 s");
    assert!(turns <= 3 * starts + 5, "{turns} turns for {starts} attempts: it wakes for nothing");
    assert_eq!(trouble(&writer).unwrap(), "the scripted store: not ready yet: connection refused");
    assert_eq!(script.state().requests, 0, "nothing is sent to a store that is not ready");
    writer.flush().unwrap();
    assert_eq!((script.rows(), trouble(&writer)), (rows(0..10), None));
}

#[test]
fn a_store_that_stays_away_restarts_the_job() {
    let script = away(1000).limits(Limits { start_timeout: Duration::from_secs(3), ..limits() });
    let mut writer = script.writer();
    writer.write(rows(0..10)).unwrap();
    let error = turn_for(&mut writer, 10_000).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Restart);
    for part in ["the scripted store is not ready after 3s", "start.timeout", "connection refused"] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn a_wrong_setup_is_said_at_once_also_where_nothing_is_to_be_written() {
    let script = Script::default().gate(|_| Err(NotReady::Stop(Error::configuration("the login is wrong"))));
    let mut writer = script.writer();
    let error = writer.flush().unwrap_err();
    assert_eq!((error.kind(), script.state().starts), (ErrorKind::Configuration, 1));
}

#[test]
fn a_stop_does_not_wait_for_a_store_that_has_nothing_to_write() {
    let script = away(1000);
    let mut writer = script.writer();
    writer.flush().unwrap();
    assert_eq!(script.state().starts, 1);
}

#[test]
fn a_flush_asks_again_at_once() {
    let hour = Duration::from_secs(3600);
    let long = Limits { first_pause: hour, longest_pause: hour, start_timeout: 2 * hour, ..limits() };
    let script = away(1).limits(long);
    let mut writer = script.writer();
    writer.write(rows(0..10)).unwrap();
    turn_for(&mut writer, 1_000).unwrap();
    assert_eq!(script.state().starts, 1);
    let before = writer.harness().clock().now();
    writer.flush().unwrap();
    assert_eq!(script.rows(), rows(0..10));
    assert!(writer.harness().clock().now() - before < 1_000, "it waited for the pause");
}

// A job that restarts while its right to write is taken away for a while is not ended for good by that.
#[test]
fn what_is_refused_at_a_restart_but_was_allowed_before_is_waited_for() {
    let script = Script::default().gate(|attempt| match attempt {
        0 | 4.. => Ok(()),
        _ => Err(NotReady::Stop(Error::configuration("the login is wrong"))),
    });
    let writers = script.writers();
    let world = Arc::new(Simulated::default());
    let harness = Harness::new(Arc::<Simulated>::clone(&world));
    let mut first = writers.writer::<Row>("sink", &mut harness.open_context()).unwrap();
    harness.wait(None).unwrap();
    harness.call(|cx| first.resume(cx, Budget::default(), &mut Rows::default())).unwrap();
    drop(first);
    let harness = Harness::new(world).epoch(2);
    let mut second = writers.writer::<Row>("sink", &mut harness.open_context()).unwrap();
    let (mut all, mut dead) = (Rows::from(rows(0..10)), Rows::default());
    harness.call(|cx| second.write(cx, &mut all, &mut dead)).unwrap();
    loop {
        let step = harness.call(|cx| second.flush(cx, &mut dead)).unwrap();
        if step.is_complete() {
            break;
        }
        harness.wait(step.wake_at).unwrap();
    }
    assert_eq!((script.rows(), script.state().starts), (rows(0..10), 5));
}

#[test]
fn an_idle_writer_is_never_woken() {
    let script = Script::default();
    let mut writer = script.writer();
    writer.write(rows(0..10)).unwrap();
    writer.flush().unwrap();
    writer.resume().unwrap();
    assert_eq!(writer.wake_at(), None);
    assert_eq!(turn_for(&mut writer, 3_600_000).unwrap(), 1);
}
