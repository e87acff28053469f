//! How an attempt ends before its input does: in order, without waiting for a sink that does not write, or
//! not in time.

use std::sync::Arc;
use std::time::Duration;

use millstream_protocol::checkpointing::CoordinatorEvent;
use millstream_protocol::subtask::SubtaskCommand;
use millstream_record::{Error, ErrorKind, Result};
use millstream_stage::metrics::OperatorMetrics;
use millstream_stage::stage::End;
use millstream_stage::time::{Nanos, nanos};
use millstream_stage::trouble::rounded;

use super::Coordinator;
use crate::attempt_context::AttemptContext;
use crate::inbox::ThreadCommand;
use crate::report::{UnwrittenRows, UnwrittenState};

/// How long a failed attempt waits for a thread that does not come back from a call of its stage.
const FAILED_GRACE: Duration = Duration::from_secs(10);
/// The same where the job is to end: what the call was for is in a checkpoint, or was given up.
const LEAVING_GRACE: Duration = Duration::from_secs(2);

/// How far the end is that somebody wants.
#[derive(Default)]
pub(super) struct Stopping {
    /// The whole job is to end in order (SIGTERM). Everything together may then take `stop-timeout`.
    wanted: bool,
    /// What the sources were told.
    stop_sent: Option<End>,
    /// When patience ends.
    deadline: Option<Nanos>,
    /// When threads that are not back by then are left behind.
    leave_behind_at: Option<Nanos>,
}

impl Stopping {
    pub(super) fn deadlines(&self) -> [Option<Nanos>; 2] {
        [self.deadline, self.leave_behind_at]
    }

    /// Whether nothing new is to begin.
    pub(super) fn is_under_way(&self) -> bool {
        self.deadline.is_some() || self.leave_behind_at.is_some()
    }

    /// What sources are to hear as soon as they run.
    pub(super) fn stop_sent(&self) -> Option<End> {
        self.stop_sent
    }
}

impl Coordinator<'_> {
    /// Somebody wants the job to end in order. Before all subtasks are open nothing was read: then there is
    /// nothing to see through.
    pub(super) fn on_stop(&mut self) -> Result<()> {
        self.stopping.wanted = true;
        if !self.is_running() {
            self.leave();
            return Ok(());
        }
        let deadline = self.stop_deadline();
        self.stopping.deadline.get_or_insert(deadline);
        self.happened(CoordinatorEvent::Stop)
    }

    /// A stop that comes before all subtasks are open waits until they are.
    pub(super) fn stop_sources(&mut self, end: End) {
        self.state.stopping();
        let deadline = self.stop_deadline();
        self.stopping.deadline.get_or_insert(deadline);
        if self.stopping.stop_sent.replace(end).is_none() && self.is_running() {
            self.attempt.command_sources(|| ThreadCommand::Protocol(SubtaskCommand::Stop(end)));
        }
    }

    /// All subtasks have ended: from here on the last checkpoint's own timeout counts, until it stands.
    pub(super) fn all_have_ended(&mut self) {
        if !self.stopping.wanted {
            self.stopping.deadline = None;
        }
    }

    /// The last checkpoint stands: what is left to do may take as long as a stop.
    pub(super) fn expect_the_end(&mut self) {
        if self.stopping.stop_sent.is_some() && !self.stopping.wanted {
            self.stopping.deadline = Some(self.stop_deadline());
        }
    }

    /// All is done, or what is not done is in the last checkpoint.
    pub(super) fn release(&mut self) {
        if self.ended.iter().all(|ended| *ended) {
            self.attempt.command_all(|| ThreadCommand::Release);
        } else {
            self.leave();
        }
        let Some(checkpoint) = self.last.take() else { return };
        let unsettled = |index: &usize| !self.settled[*index];
        let rows: Vec<_> = (0..self.settled.len()).filter(unsettled).collect();
        if !rows.is_empty() {
            self.state.left(UnwrittenState { checkpoint, rows: unwritten(&self.attempt, &rows) });
        }
    }

    // Nobody is waited for.
    fn leave(&mut self) {
        self.end = End::Stopped;
        self.stopping.deadline = None;
        self.attempt.inboxes.iter().for_each(|inbox| inbox.abort());
        self.leave_behind_after(LEAVING_GRACE);
    }

    pub(super) fn on_failed(&mut self) -> Result<()> {
        self.state.failing();
        self.stopping.deadline = None;
        let wanted = self.stopping.wanted || self.state.termination().is_some();
        self.leave_behind_after(if wanted { LEAVING_GRACE } else { FAILED_GRACE });
        self.happened(CoordinatorEvent::Failed)
    }

    /// Looks whether somebody took too long.
    ///
    /// # Errors
    /// Who it is, and what was not written.
    pub(super) fn lose_patience(&mut self) -> Result<()> {
        let now = self.attempt.setup.clock.nanos();
        if self.stopping.leave_behind_at.is_some_and(|at| at <= now) {
            self.leave_behind();
        }
        match self.stopping.deadline.take_if(|deadline| *deadline <= now) {
            Some(_) => Err(self.stop_timed_out()),
            None => Ok(()),
        }
    }

    fn stop_deadline(&self) -> Nanos {
        self.attempt.setup.clock.nanos().saturating_add(nanos(self.attempt.setup.options.stop_timeout))
    }

    fn leave_behind_after(&mut self, grace: Duration) {
        let at = self.attempt.setup.clock.nanos().saturating_add(nanos(grace));
        self.stopping.leave_behind_at.get_or_insert(at);
    }

    fn stop_timed_out(&self) -> Error {
        let busy: Vec<_> = (0..self.ended.len()).filter(|index| !self.ended[*index]).collect();
        let within = humantime::format_duration(self.attempt.setup.options.stop_timeout);
        let message = match busy.is_empty() {
            true => format!("the job did not stop within {within}: {}", self.not_complete()),
            false => {
                let who: Vec<_> = busy.iter().map(|index| self.attempt.setup.who(*index)).collect();
                let rows: Vec<_> =
                    unwritten(&self.attempt, &busy).iter().map(|rows| format!("; {rows}")).collect();
                format!(
                    "the job did not stop within {within}, what these hold was not written: {}{}",
                    who.join(", "),
                    rows.concat()
                )
            }
        };
        Error::new(ErrorKind::Restart, message + &troubles(&self.attempt))
    }

    // Why the job is not over although all subtasks have ended.
    fn not_complete(&self) -> String {
        let failure = self.state.history(|history| history.latest_failed.as_ref()?.failure.clone());
        match (self.flight.is_some(), failure) {
            (true, _) => {
                "its last checkpoint is not stored yet: it goes on from the one before (raise runtime.stop-timeout if \
                 it is large)"
                    .to_owned()
            }
            (false, Some(why)) => format!("its last checkpoint failed, it goes on from the one before: {why}"),
            (false, None) => "sinks have not committed what the last checkpoint holds: a restart commits it".to_owned(),
        }
    }

    // A call that never returns cannot be ended from outside; the job's report must not wait for it.
    fn leave_behind(&mut self) {
        for (index, thread) in self.threads.iter_mut().enumerate() {
            if thread.take().is_some() {
                tracing::error!(
                    "{} does not return from a call: its thread is left behind",
                    self.attempt.setup.who(index)
                );
            }
        }
    }
}

// What the sinks of these subtasks have taken and not written; where that is not known, all of these sinks.
fn unwritten(attempt: &AttemptContext, subtasks: &[usize]) -> Vec<UnwrittenRows> {
    let mut all = sinks_of(attempt, subtasks);
    if all.iter().any(|sink| sink.rows > 0) {
        all.retain(|sink| sink.rows > 0);
    }
    all
}

fn sinks_of(attempt: &AttemptContext, subtasks: &[usize]) -> Vec<UnwrittenRows> {
    let mut all: Vec<UnwrittenRows> = Vec::new();
    for index in subtasks {
        let sinks = attempt.setup.stage(*index).operators.iter().filter(|operator| operator.sink.is_some());
        for sink in sinks {
            let metrics = attempt.setup.metrics.subtasks[*index].operator(&sink.name);
            match all.iter_mut().find(|rows| rows.sink == sink.name) {
                Some(rows) => rows.add(&metrics),
                None => all.push(UnwrittenRows::of(&metrics)),
            }
        }
    }
    all
}

fn troubles(attempt: &Arc<AttemptContext>) -> String {
    let ongoing = attempt.setup.metrics.troubles.ongoing(attempt.setup.clock.nanos());
    let said = ongoing.iter().map(|trouble| {
        format!("; {}: failing for {}: {}", trouble.subject, rounded(trouble.lasts), trouble.why)
    });
    said.collect()
}

impl UnwrittenRows {
    fn of(metrics: &OperatorMetrics) -> Self {
        let mut rows = Self { sink: metrics.name.clone(), rows: 0 };
        rows.add(metrics);
        rows
    }

    fn add(&mut self, metrics: &OperatorMetrics) {
        self.rows += metrics.unacknowledged();
    }
}
