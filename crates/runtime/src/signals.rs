//! Orderly stop at SIGTERM and SIGINT: one watching thread per process, for all of its jobs.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::Builder;

use millstream_core::{Error, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::control::{JobControl, WeakControl};

struct Watch {
    running: bool,
    jobs: Vec<Watched>,
}

struct Watched {
    job: WeakControl,
    stopping: bool,
}

static WATCH: Mutex<Watch> = Mutex::new(Watch { running: false, jobs: Vec::new() });

/// The first signal stops the job in order, the second aborts it. While no job runs, signals end the process as they would have.
pub(crate) fn stop_on_signals(job: &JobControl) -> Result<()> {
    let mut watch = lock();
    watch.jobs.retain(|watched| watched.job.running().is_some());
    if !watch.running {
        let refused =
            |error| Error::configuration("the process cannot handle SIGTERM and SIGINT").caused_by(error);
        let signals = Signals::new([SIGINT, SIGTERM]).map_err(refused)?;
        Builder::new().name("millstream-stop".into()).spawn(move || forever(signals)).map_err(refused)?;
        watch.running = true;
    }
    watch.jobs.push(Watched { job: job.downgrade(), stopping: false });
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
            let Some(job) = watched.job.running() else { continue };
            handled = true;
            if watched.stopping {
                job.abort(&format!("a second signal came ({name}); what was in the queues was not written"));
            } else {
                watched.stopping = true;
                tracing::info!("{name}: stopping in order; a second signal aborts at once");
                job.stop();
            }
        }
        handled
    }
}

fn lock() -> MutexGuard<'static, Watch> {
    WATCH.lock().unwrap_or_else(PoisonError::into_inner)
}
