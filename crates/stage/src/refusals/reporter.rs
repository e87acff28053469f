//! The records of an operator, counted by all of its subtasks together.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use super::{Fate, Judged, Refusal, Share, Window};
use crate::Context;
use crate::step::Step;
use crate::time::{Nanos, Time};
use crate::trouble::{Ongoing, Say, Trouble, rounded};

/// Where a subtask of an operator counts what it was given and what was refused of it.
#[derive(Clone, Debug)]
pub struct Refusals {
    shared: Arc<RefusalCounts>,
    // When this subtask is to look again.
    look_at: Option<Time>,
}

#[derive(Debug)]
struct RefusalCounts {
    subject: String,
    fate: Fate,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    window: Window,
    trouble: Trouble,
    why: String,
}

impl Refusals {
    /// The counter of an operator or a sink of this name.
    pub(crate) fn of(operator: &str, fate: Fate) -> Self {
        let refused = if fate == Fate::Dropped { "dropped" } else { "refused" };
        let subject = format!("most records are {refused} by {operator}");
        Self { shared: Arc::new(RefusalCounts { subject, fate, state: Mutex::default() }), look_at: None }
    }

    /// Counts records that were given and those of them that were refused; `refusals` is only called where
    /// there are some. Answers when to look again, where that is wanted.
    pub fn count(
        &self,
        now: Nanos,
        records: u64,
        refused: u64,
        refusals: impl FnOnce() -> Vec<Refusal>,
    ) -> Option<Nanos> {
        let refusals = if refused > 0 { refusals() } else { Vec::new() };
        let mut state = self.lock();
        state.window.count(now, records, refused, refusals);
        self.look_at_state(&mut state, now)
    }

    /// Time has passed. Answers when to look again, where that is wanted.
    pub fn look(&self, now: Nanos) -> Option<Nanos> {
        self.look_at_state(&mut self.lock(), now)
    }

    /// [`count`](Self::count) within a call of a stage: the step asks to be woken when it is time to look
    /// again.
    pub fn count_in(
        &mut self,
        cx: &Context<'_>,
        records: u64,
        refused: u64,
        refusals: impl FnOnce() -> Vec<Refusal>,
    ) -> Step {
        let now = cx.nanos();
        let look_at = self.count(now, records, refused, refusals);
        self.wake(cx, now, look_at)
    }

    /// [`look`](Self::look) within a call of a stage. Costs next to nothing before it is time.
    pub fn look_in(&mut self, cx: &Context<'_>) -> Step {
        match self.look_at {
            None => Step::DONE,
            Some(at) if cx.now() < at => Step::wake_at(at),
            Some(_) => {
                let now = cx.nanos();
                let look_at = self.look(now);
                self.wake(cx, now, look_at)
            }
        }
    }

    fn wake(&mut self, cx: &Context<'_>, now: Nanos, look_at: Option<Nanos>) -> Step {
        self.look_at = look_at.map(|at| {
            let wait = Duration::from_nanos(at.saturating_sub(now)).as_millis();
            cx.now().saturating_add(Time::try_from(wait).unwrap_or(Time::MAX)).saturating_add(1)
        });
        Step { wake_at: self.look_at, ..Step::DONE }
    }

    fn look_at_state(&self, state: &mut State, now: Nanos) -> Option<Nanos> {
        let judged = state.window.judge(now);
        self.settle(state, now, judged);
        let lasts = state.trouble.lasts(now).is_some();
        state.window.judge_at(lasts)
    }

    /// The input has ended: what was counted since the last look is judged, however little it is.
    pub fn end(&self, now: Nanos) {
        let mut state = self.lock();
        let judged = state.window.judge_last(now);
        self.settle(&mut state, now, judged);
    }

    fn settle(&self, state: &mut State, now: Nanos, judged: Option<Judged>) {
        let Some(Judged { share, why }) = judged else { return };
        let say = match share {
            Share::Most => {
                state.why = why;
                state.trouble.failed(now)
            }
            Share::Some => None,
            Share::Few => state.trouble.recovered(now),
        };
        let (subject, why) = (&self.shared.subject, &state.why);
        match say {
            Some(Say::Began { .. }) => {
                tracing::warn!("{subject}: {why}. {}", self.shared.fate);
            }
            Some(Say::GoesOn { lasts, .. }) => {
                tracing::warn!("{subject}, for {} now: {why}", rounded(lasts));
            }
            Some(Say::Over { lasted, .. }) => tracing::info!("no longer: {subject}, for {}", rounded(lasted)),
            None => {}
        }
    }

    /// The trouble, if it lasts.
    pub(crate) fn ongoing(&self, now: Nanos) -> Option<Ongoing> {
        let state = self.lock();
        let (lasts, _) = state.trouble.lasts(now)?;
        Some(Ongoing { subject: self.shared.subject.clone(), why: state.why.clone(), lasts, attempts: 0 })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock()
    }
}
