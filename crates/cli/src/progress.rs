//! A line that shows how a job gets on, where a person watches.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use millstream_runtime::JobControl;
use millstream_stage::metrics::JobMetrics;

use crate::logs;

/// The line of a running job.
pub(crate) struct Progress {
    bar: ProgressBar,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Shows the messages read so far and per second on a terminal; nothing elsewhere.
pub(crate) fn show(job: JobControl) -> Progress {
    let bar = if logs::is_text() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed_precise}  {msg}") {
        bar.set_style(style);
    }
    let over = Arc::new(AtomicBool::new(false));
    let thread = if bar.is_hidden() { None } else { watch(job, bar.clone(), Arc::clone(&over)) };
    Progress { bar, over, thread }
}

impl Progress {
    /// Takes the line away.
    pub(crate) fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread {
            thread.thread().unpark();
            // It shows a line and cannot fail in a way that matters.
            let _ = thread.join();
        }
        self.bar.finish_and_clear();
    }
}

fn watch(job: JobControl, bar: ProgressBar, over: Arc<AtomicBool>) -> Option<JoinHandle<()>> {
    let line = move || {
        let mut before = 0;
        while !over.load(Ordering::Relaxed) {
            let read = messages(&job.metrics());
            // Another attempt counts anew.
            let rate = read.saturating_sub(before) * 2;
            bar.set_message(format!("{} {read} read, {rate}/s", job.plan().name));
            bar.tick();
            before = read;
            std::thread::park_timeout(Duration::from_millis(500));
        }
    };
    Builder::new().name("millstream-progress".into()).spawn(line).ok()
}

/// Messages decoded so far, or records read where nothing is decoded.
fn messages(metrics: &JobMetrics) -> u64 {
    let counted = metrics.operators().flat_map(|(_, operator)| operator.counters());
    let decoded: u64 = counted.filter(|(name, _)| *name == "messages").map(|(_, count)| count).sum();
    if decoded > 0 {
        return decoded;
    }
    metrics
        .operators()
        .filter(|(_, operator)| operator.records_in.get() == 0)
        .map(|(_, o)| o.records_out.get())
        .sum()
}
