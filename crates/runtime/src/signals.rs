//! Orderly stop at SIGTERM and SIGINT.

use std::thread::Builder;

use millstream_core::{Error, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::register_conditional_default;
use signal_hook::iterator::Signals;

use crate::job::JobControl;

/// The first signal stops the job in order, the second aborts it. Once the job is over, signals end the process as they would have.
pub(crate) fn stop_on_signals(job: JobControl) -> Result<()> {
    let refused =
        |error| Error::configuration("the process cannot handle SIGTERM and SIGINT").caused_by(error);
    for signal in [SIGINT, SIGTERM] {
        register_conditional_default(signal, job.over_flag()).map_err(refused)?;
    }
    let signals = Signals::new([SIGINT, SIGTERM]).map_err(refused)?;
    let thread = Builder::new().name("millstream-stop".into()).spawn(move || watch(signals, &job));
    thread.map(drop).map_err(refused)
}

fn watch(mut signals: Signals, job: &JobControl) {
    let mut stopping = false;
    for signal in signals.forever() {
        let name = if signal == SIGTERM { "SIGTERM" } else { "SIGINT" };
        if job.is_over() {
            return;
        }
        if stopping {
            return job
                .abort(&format!("a second signal came ({name}); what was in the queues was not written"));
        }
        stopping = true;
        tracing::info!("{name}: stopping in order; a second signal aborts at once");
        job.stop();
    }
}
