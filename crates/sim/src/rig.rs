//! Drives one operator through everything that a driver may do to it, and compares what comes out.
//!
//! A [`Rig`] is fed with records, watermarks and times. It runs them record by record, in batches, each batch
//! through its codec and cut by key group, in slices, with useless wake-ups, with snapshots that nobody uses,
//! restored into a new instance after every step, at parallelism 2 and 3 and from one to the other; all of it
//! with keyed state on the heap, above a cold store, and on both in turn. All of these must give what the
//! first one gave, and that must be what was expected. On the way it fails a stage that breaks its contract:
//! a panic, a watermark that goes back, output within a snapshot, state that nobody takes back, a wait that
//! nothing ends.
//!
//! ```
//! use millstream_operators::KeySelector;
//! use millstream_operators::operators::{KeyedProcessFunction, Process};
//! use millstream_operators::state::{KeyedContext, States, ValueState};
//! use millstream_record::{Record, Result};
//! use millstream_sim::rig::{Rig, end, event, out_watermark, row, watermark};
//!
//! #[derive(Clone, Debug, PartialEq, Record)]
//! struct Click {
//!     user: String,
//! }
//!
//! /// Counts the clicks of each user.
//! struct Count {
//!     count: ValueState<u64>,
//! }
//!
//! impl KeyedProcessFunction for Count {
//!     type Key = String;
//!     type In = Click;
//!     type Out = (String, u64);
//!
//!     fn process(&mut self, click: Click, cx: &mut KeyedContext<'_, String, (String, u64)>) -> Result<()> {
//!         let count = self.count.get(cx).copied().unwrap_or(0) + 1;
//!         self.count.set(cx, count);
//!         cx.collect((click.user, count));
//!         Ok(())
//!     }
//! }
//!
//! let click = |user: &str| Click { user: user.to_owned() };
//! let count = |states: &mut States| Ok(Count { count: states.value("count")? });
//! Rig::new(move || Process::new(count, KeySelector::new(|click: &Click| click.user.clone())))
//!     .keyed_by(|click: &Click| click.user.clone())
//!     .feed([event(click("ann"), 1), event(click("bob"), 2), watermark(2), event(click("ann"), 3), end()])
//!     .expect([
//!         row(("ann".to_owned(), 1), 1),
//!         row(("bob".to_owned(), 1), 2),
//!         out_watermark(2),
//!         row(("ann".to_owned(), 2), 3),
//!         out_watermark(i64::MAX),
//!     ]);
//! ```

mod below;
mod build;
mod compare;
mod feed;
mod mode;
mod restore;
mod run;
mod script;
mod seen;
mod transcript;

pub use build::Rig;
pub use compare::RigFailure;
pub use feed::{
    Feed, active, active_on, end, end_on, event, idle, idle_on, processing_time, second, stop, watermark,
    watermark_on,
};
pub use seen::{Outcome, Seen, SeenWatermark, out_watermark, row};
