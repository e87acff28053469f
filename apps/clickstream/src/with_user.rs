//! Events without a user count nowhere.

use std::cell::OnceCell;
use std::sync::Arc;

use millstream::core::figures::{Counter, OperatorFigures};
use millstream::core::refusals::{Refusal, Refusals};
use millstream::core::trouble::Troubles;
use millstream::core::{Budget, Context, End, OpenContext, Operator, Output, Rows, Step};
use millstream::prelude::*;

use crate::event::{Event, Placeholders};

/// Drops events whose user id is empty or stands for nobody, and counts them as `withoutUser`. When that meets most events, the log says so.
pub struct WithUser {
    placeholders: Arc<Placeholders>,
    without_user: Arc<Counter>,
    dropped: Refusals,
}

impl WithUser {
    /// An operator that knows these placeholders.
    pub fn new(placeholders: Arc<Placeholders>) -> Self {
        Self { placeholders, without_user: Arc::default(), dropped: Troubles::default().drops("") }
    }
}

impl Operator for WithUser {
    type In = Event;
    type Out = Event;

    fn open(&mut self, name: &str, cx: &mut OpenContext) -> Result<()> {
        let figures: Arc<OperatorFigures> = cx.figures_of(name);
        self.without_user = figures.counter("withoutUser");
        self.dropped = cx.drops_of(name);
        Ok(())
    }

    fn rows(
        &mut self,
        cx: &mut Context<'_>,
        rows: &mut Rows<Event>,
        out: &mut Output<Event>,
    ) -> Result<Step> {
        let (before, nobody) = (rows.len(), OnceCell::new());
        rows.retain(|event| {
            let keeps = !self.placeholders.stands_in(&event.user_id);
            if !keeps {
                nobody.get_or_init(|| event.user_id.clone());
            }
            keeps
        });
        let dropped = (before - rows.len()) as u64;
        self.without_user.add(dropped);
        rows.append_to(&mut out.rows);
        Ok(self.dropped.count_in(cx, before as u64, dropped, || {
            nobody.get().map(|id| names_nobody(id)).into_iter().collect()
        }))
    }

    fn resume(&mut self, cx: &mut Context<'_>, _: Budget, _: &mut Output<Event>) -> Result<Step> {
        Ok(self.dropped.look_in(cx))
    }

    fn end(&mut self, cx: &mut Context<'_>, _: End, _: &mut Output<Event>) -> Result<Step> {
        self.dropped.end(cx.nanos());
        Ok(Step::DONE)
    }
}

fn names_nobody(id: &str) -> Refusal {
    Refusal {
        reason: "the user id is empty, or one of event.placeholder-users: check event.fields, and the list if such users are real"
            .to_owned(),
        sample: format!("{id:?}"),
    }
}
