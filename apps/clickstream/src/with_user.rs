//! Events without a user count nowhere.

use std::sync::Arc;

use millstream::core::figures::{Counter, OperatorFigures};
use millstream::core::{Context, OpenContext, Operator, Output, Rows, Step};
use millstream::prelude::*;

use crate::event::{Event, Placeholders};

/// Drops events whose user id is empty or stands for nobody, and counts them as `withoutUser`.
pub struct WithUser {
    placeholders: Arc<Placeholders>,
    without_user: Arc<Counter>,
}

impl WithUser {
    /// An operator that knows these placeholders.
    pub fn new(placeholders: Arc<Placeholders>) -> Self {
        Self { placeholders, without_user: Arc::default() }
    }
}

impl Operator for WithUser {
    type In = Event;
    type Out = Event;

    fn open(&mut self, name: &str, cx: &mut OpenContext) -> Result<()> {
        let figures: Arc<OperatorFigures> = cx.figures_of(name);
        self.without_user = figures.counter("withoutUser");
        Ok(())
    }

    fn rows(&mut self, _: &mut Context<'_>, rows: &mut Rows<Event>, out: &mut Output<Event>) -> Result<Step> {
        let before = rows.len();
        rows.retain(|event| !self.placeholders.stands_in(&event.user_id));
        self.without_user.add((before - rows.len()) as u64);
        rows.append_to(&mut out.rows);
        Ok(Step::DONE)
    }
}
