//! Ctrl-C during `execute`. A test program of its own: a signal meets every job of the process.

mod support;

use millstream::End;
use millstream::prelude::*;
use rustix::process::{Signal, getpid, kill_process};
use support::paused::Paused;

#[test]
fn a_signal_stops_the_job_in_order() {
    let env = Environment::new("endless");
    let results = Collected::default();
    let (source, reached) = Paused::after(50, Collection::of(1..=100_i64));
    env.source("numbers", source).sink_to("results", results.clone());
    let report = std::thread::scope(|scope| {
        scope.spawn(move || {
            reached.wait(1);
            // The records may be read before `execute` has come to the signals.
            std::thread::park_timeout(Duration::from_millis(500));
            kill_process(getpid(), Signal::INT).unwrap();
        });
        env.execute().unwrap()
    });
    assert_eq!(report.end, End::Stopped);
    assert_eq!(results.take().len(), 50, "everything that was read was written");
}
