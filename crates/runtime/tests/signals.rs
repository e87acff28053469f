//! SIGTERM and SIGINT, in a process of their own: one test in this file.

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use millstream_runtime::start;
use millstream_stage::Step;
use millstream_stage::plan::{Exchange, Plan};
use millstream_stage::stage::End;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::raise;
use support::numbers::Numbers;
use support::ops::Resumes;
use support::plans::*;
use support::sinks::Written;
use support::wait;

fn endless(numbers: &Numbers, written: &Written<i64>, step: Step) -> Plan {
    let written = written.clone();
    let count = Arc::default();
    let operator = move || Resumes::new(&count, step, move |_| Ok(step));
    let rest = then("step", operator, sink("out", written.buffered(1000)));
    plan(
        vec![source("numbers", 1, numbers, rebalanced(0)), stage_of("step -> out", 1, 1, rest)],
        vec![edge(0, 1, 0, Exchange::Rebalance)],
    )
}

#[test]
#[expect(clippy::disallowed_methods, reason = "signals come in real time")]
fn the_first_signal_stops_and_one_a_second_later_aborts() {
    for signal in [SIGTERM, SIGINT] {
        let (numbers, written) = (Numbers::endless(1), Written::default());
        let job = start(endless(&numbers, &written, Step::DONE), support::options()).unwrap();
        job.stop_on_signals().unwrap();
        raise(signal).unwrap();
        // As `timeout` does it: once more for the process group.
        raise(signal).unwrap();
        assert_eq!(wait(job).unwrap().end, End::Stopped);
        assert_eq!(written.rows.lock().len() as u64, numbers.probe.read.load(SeqCst));
    }
    // Blocked for ever: the first signal cannot get through.
    let job =
        start(endless(&Numbers::endless(1), &Written::default(), Step::BLOCKED), support::options()).unwrap();
    job.stop_on_signals().unwrap();
    raise(SIGTERM).unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    raise(SIGINT).unwrap();
    let error = wait(job).unwrap_err();
    assert!(error.chain().contains("a second signal came"), "{error}");
}
