//! Orderly stop at SIGTERM and SIGINT: one watching thread per process, for all of its jobs.

use std::sync::{Arc, Weak};
use std::thread::Builder;

use millstream_record::{Error, Result};
use millstream_stage::time::Nanos;
use parking_lot::{Mutex, MutexGuard};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::job_state::{JobState, TerminationRequest};

struct Watch {
    running: bool,
    jobs: Vec<Watched>,
}

struct Watched {
    job: Weak<JobState>,
    // When its first signal came.
    stopping: Option<Nanos>,
}

impl Watched {
    fn running(&self) -> Option<Arc<JobState>> {
        self.job.upgrade().filter(|job| !job.is_over())
    }
}

/// Signals that come within a second are one: `timeout`, shells and service managers signal a process and
/// then its group.
const ONE_SIGNAL: Nanos = 1_000_000_000;

static WATCH: Mutex<Watch> = Mutex::new(Watch { running: false, jobs: Vec::new() });

/// The first signal stops the job in order, a second one that comes a second later or more aborts it. While
/// no job runs, signals end the process as they would have.
pub(crate) fn stop_on_signals(job: &Arc<JobState>) -> Result<()> {
    let mut watch = lock();
    watch.jobs.retain(|watched| watched.running().is_some());
    if !watch.running {
        let refused =
            |error| Error::configuration("the process cannot handle SIGTERM and SIGINT").caused_by(error);
        let signals = Signals::new([SIGINT, SIGTERM]).map_err(refused)?;
        Builder::new().name("millstream-stop".into()).spawn(move || forever(signals)).map_err(refused)?;
        watch.running = true;
    }
    watch.jobs.push(Watched { job: Arc::downgrade(job), stopping: None });
    Ok(())
}

fn forever(mut signals: Signals) {
    for signal in signals.forever() {
        let handled = lock().on(signal);
        if !handled {
            // Ends the process; should it fail, the signal is lost and the next one tries again.
            let _ = emulate_default_handler(signal);
        }
    }
}

impl Watch {
    // Whether a job was there to take the signal.
    fn on(&mut self, signal: i32) -> bool {
        let name = if signal == SIGTERM { "SIGTERM" } else { "SIGINT" };
        let mut handled = false;
        for watched in &mut self.jobs {
            let Some(job) = watched.running() else { continue };
            handled = true;
            let now = job.setup.clock.nanos();
            match watched.stopping {
                None => {
                    watched.stopping = Some(now);
                    tracing::info!("{name}: stopping in order; another signal after a second aborts at once");
                    job.request_termination(TerminationRequest::Stop);
                }
                Some(first) if now.saturating_sub(first) < ONE_SIGNAL => {}
                Some(_) => job.request_termination(TerminationRequest::Abort(format!(
                    "a second signal came ({name}); what was in the queues was not written"
                ))),
            }
        }
        handled
    }
}

fn lock() -> MutexGuard<'static, Watch> {
    WATCH.lock()
}
