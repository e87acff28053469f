//! Small sources, operators and sinks, and plans built of them by hand.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "test code, though in no test function")]

pub mod numbers;
pub mod ops;
pub mod plans;
pub mod sinks;

use std::sync::mpsc;
use std::thread::Builder;
use std::time::Duration;

use millstream_record::Result;
use millstream_runtime::{JobHandle, JobReport, RuntimeOptions};

/// Options for tests: small queues, so that back-pressure happens.
pub fn options() -> RuntimeOptions {
    RuntimeOptions {
        channel_bytes: 64 << 10,
        records_per_call: 256,
        stop_timeout: Duration::from_secs(20),
        epoch: Some(1),
        ..RuntimeOptions::default()
    }
}

/// Waits for a job's end, and fails the test where that never comes.
pub fn wait(job: JobHandle) -> Result<JobReport> {
    let (sender, receiver) = mpsc::channel();
    let waiting = Builder::new().name("waits".into()).spawn(move || sender.send(job.wait()));
    waiting.expect("the system has threads left");
    receiver.recv_timeout(Duration::from_secs(60)).expect("the job hangs")
}

/// Waits until something is so; the test's own time limit is that of the whole run.
pub fn until(mut so: impl FnMut() -> bool) {
    while !so() {
        std::thread::park_timeout(Duration::from_millis(2));
    }
}
