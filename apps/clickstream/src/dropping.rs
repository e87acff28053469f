//! Events that count nowhere: those without a user, and those whose behaviour is not counted.

use std::cell::OnceCell;
use std::sync::Arc;

use millstream::metrics::{Counter, OperatorMetrics};
use millstream::prelude::*;
use millstream::refusals::{Refusal, Refusals};
use millstream::trouble::Troubles;
use millstream::{Budget, Context, End, OpenContext, Operator, Output, Rows, Step};

use crate::event::{Event, Placeholders};
use crate::options::Behaviors;

/// Which events are dropped.
pub trait Rule: Clone + Send + 'static {
    /// The counter of what is dropped.
    const COUNTER: &'static str;
    /// Whether dropping most events is what the user has chosen, as long as some are kept.
    const IS_A_CHOICE: bool;
    /// Whether an event is kept.
    fn keeps(&self, event: &Event) -> bool;
    /// Why one was dropped, for the log.
    fn reason(event: &Event) -> Refusal;
}

/// Drops events whose user id is empty or a placeholder.
#[derive(Clone)]
pub struct WithUser(pub Arc<Placeholders>);

/// Drops events whose behaviour is not counted.
#[derive(Clone)]
pub struct Counted(pub Arc<Behaviors>);

impl Rule for WithUser {
    const COUNTER: &'static str = "withoutUser";
    const IS_A_CHOICE: bool = false;

    fn keeps(&self, event: &Event) -> bool {
        !self.0.stands_in(&event.user_id)
    }

    fn reason(event: &Event) -> Refusal {
        Refusal {
            reason: "the user id is empty, or one of event.placeholder-users: check event.fields, and the list if such users are real"
                .to_owned(),
            sample: format!("{:?}", event.user_id),
        }
    }
}

impl Rule for Counted {
    const COUNTER: &'static str = "otherBehavior";
    const IS_A_CHOICE: bool = true;

    fn keeps(&self, event: &Event) -> bool {
        self.0.count(&event.behavior)
    }

    fn reason(event: &Event) -> Refusal {
        Refusal {
            reason: "no event so far has a behavior that counts: name yours, such as behaviors: [page_view], or write behaviors: all"
                .to_owned(),
            sample: format!("{:?}", event.behavior),
        }
    }
}

/// Drops what a rule does not keep and counts it. When that meets most events, the log says so.
pub struct Dropping<R> {
    rule: R,
    counter: Arc<Counter>,
    dropped: Refusals,
    has_kept: bool,
}

impl<R: Rule> Dropping<R> {
    /// An operator with this rule.
    pub fn by(rule: R) -> Self {
        Self { rule, counter: Arc::default(), dropped: Troubles::default().drops(""), has_kept: false }
    }
}

impl<R: Rule> Operator for Dropping<R> {
    type In = Event;
    type Out = Event;

    fn open(&mut self, name: &str, cx: &mut OpenContext) -> Result<()> {
        let metrics: Arc<OperatorMetrics> = cx.metrics_of(name);
        self.counter = metrics.counter(R::COUNTER);
        self.dropped = cx.drops_of(name);
        Ok(())
    }

    fn rows(
        &mut self,
        cx: &mut Context<'_>,
        rows: &mut Rows<Event>,
        out: &mut Output<Event>,
    ) -> Result<Step> {
        let (before, reason) = (rows.len() as u64, OnceCell::new());
        rows.retain(|event| {
            let keeps = self.rule.keeps(event);
            if !keeps {
                reason.get_or_init(|| R::reason(event));
            }
            keeps
        });
        let dropped = before - rows.len() as u64;
        self.counter.add(dropped);
        self.has_kept |= !rows.is_empty();
        rows.append_to(&mut out.rows);
        let odd = if R::IS_A_CHOICE && self.has_kept { 0 } else { dropped };
        Ok(self.dropped.count_in(cx, before, odd, || reason.into_inner().into_iter().collect()))
    }

    fn resume(&mut self, cx: &mut Context<'_>, _: Budget, _: &mut Output<Event>) -> Result<Step> {
        Ok(self.dropped.look_in(cx))
    }

    fn end(&mut self, cx: &mut Context<'_>, _: End, _: &mut Output<Event>) -> Result<Step> {
        self.dropped.end(cx.nanos());
        Ok(Step::DONE)
    }
}
