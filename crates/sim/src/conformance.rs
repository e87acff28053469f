//! The lists of checks that every connector passes against its real system.
//!
//! A connector's test supplies a fixture (how known records get into the system, or how to see what is in it)
//! and calls [`sink`] or [`source`]. Each check gets a place of its own in the system: a table, an index, a
//! topic, a directory.
//!
//! ```no_run
//! # use millstream_record::Result;
//! # use millstream_stage::sink::Sink;
//! # use millstream_sim::conformance::{self, SinkFixture};
//! # struct Table; impl Sink<(u64, u64)> for Table {
//! #     fn kind(&self) -> &'static str { "" }
//! #     fn guarantee(&self) -> millstream_stage::sink::Guarantee { unimplemented!() }
//! #     fn writer(&self, _: &str, _: &mut millstream_stage::OpenContext)
//! #         -> Result<Box<dyn millstream_stage::sink::SinkWriter<(u64, u64)>>> { unimplemented!() }
//! # }
//! struct Server;
//!
//! impl SinkFixture for Server {
//!     type Record = (u64, u64);
//!     type Sink = Table;
//!     // A client on Tokio also says: fn world(&self) -> Result<Arc<dyn World>> { Ok(Arc::new(TokioWorld::new()?)) }
//!
//!     fn sink(&self, place: &str) -> Result<Table> {
//! #       let _ = place; /*
//!         Table::at(&self.address, place)
//! #       */ unimplemented!()
//!     }
//!     fn record(&self, key: u64, value: u64) -> (u64, u64) {
//!         (key, value)
//!     }
//!     fn visible(&self, place: &str) -> Result<Vec<(u64, u64)>> {
//! #       let _ = place; /*
//!         self.client.select_all(place)
//! #       */ unimplemented!()
//!     }
//! }
//!
//! conformance::sink(&Server).unwrap();
//! ```

mod cold_shelf;
mod cold_store;
mod cold_store_checks;
mod cold_store_recovery;
mod sink_checks;
mod sink_epochs;
mod sink_fixture;
mod sink_recovery;
mod sink_target;
mod sink_transactions;
mod source_assignments;
mod source_checks;
mod source_enumerator;
mod source_fixture;
mod source_positions;
mod source_site;

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use millstream_record::Result;

pub use cold_store::ColdFixture;
pub use sink_fixture::SinkFixture;
pub use source_fixture::{Content, Message, Prepared, SourceFixture, UnboundedFixture, messages};

/// One check of a list.
pub struct Check<F> {
    /// What it is about.
    pub name: &'static str,
    /// Runs it on a place of its own.
    pub run: fn(&F) -> Result<()>,
}

/// Every check that failed, with the reason. Its `Debug` form is readable, so that a test can end in
/// `.unwrap()`.
pub struct Failures {
    list: &'static str,
    passed: usize,
    failed: Vec<(&'static str, String)>,
}

impl Failures {
    /// The names of the checks that failed.
    pub fn names(&self) -> Vec<&'static str> {
        self.failed.iter().map(|(name, _)| *name).collect()
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (failed, all) = (self.failed.len(), self.failed.len() + self.passed);
        writeln!(f, "{failed} of the {all} checks for a {} failed:", self.list)?;
        self.failed.iter().try_for_each(|(name, reason)| writeln!(f, "- {name}: {reason}"))
    }
}

impl fmt::Debug for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Failures {}

/// Runs every check for a sink.
///
/// # Errors
/// Lists the checks that failed.
pub fn sink<F: SinkFixture>(fixture: &F) -> Result<(), Failures> {
    run("sink", fixture, &sink_checks())
}

/// Every check for a sink, to run some of them alone.
pub fn sink_checks<F: SinkFixture>() -> Vec<Check<F>> {
    let mut checks = sink_checks::list();
    checks.extend(sink_epochs::list());
    checks.extend(sink_recovery::list());
    checks.extend(sink_transactions::list());
    checks
}

/// Runs every check for a source.
///
/// # Errors
/// Lists the checks that failed.
pub fn source<F: SourceFixture>(fixture: &F) -> Result<(), Failures> {
    run("source", fixture, &source_checks())
}

/// Every check for a source, to run some of them alone.
pub fn source_checks<F: SourceFixture>() -> Vec<Check<F>> {
    let mut checks = source_checks::list();
    checks.extend(source_positions::list());
    checks.extend(source_enumerator::list());
    checks
}

/// Runs every check for a source that is read without an end, beyond those of [`source`].
///
/// # Errors
/// Lists the checks that failed.
pub fn unbounded_source<F: UnboundedFixture>(fixture: &F) -> Result<(), Failures> {
    run("unbounded source", fixture, &unbounded_source_checks())
}

/// Every check for a source that is read without an end, to run some of them alone.
pub fn unbounded_source_checks<F: UnboundedFixture>() -> Vec<Check<F>> {
    source_assignments::list()
}

/// Runs every check for a cold store.
///
/// # Errors
/// Lists the checks that failed.
pub fn cold_store<F: ColdFixture>(fixture: &F) -> Result<(), Failures> {
    run("cold store", fixture, &cold_store_checks())
}

/// Every check for a cold store, to run some of them alone.
pub fn cold_store_checks<F: ColdFixture>() -> Vec<Check<F>> {
    let mut checks = cold_store_checks::list();
    checks.extend(cold_store_recovery::list());
    checks
}

fn run<F>(list: &'static str, fixture: &F, checks: &[Check<F>]) -> Result<(), Failures> {
    let mut failures = Failures { list, passed: 0, failed: Vec::new() };
    for check in checks {
        // A check that panics must not hide what the others find.
        match catch_unwind(AssertUnwindSafe(|| (check.run)(fixture))) {
            Ok(Ok(())) => failures.passed += 1,
            Ok(Err(error)) => failures.failed.push((check.name, error.chain())),
            Err(panic) => failures.failed.push((check.name, format!("panicked: {}", panic_text(&*panic)))),
        }
    }
    if failures.failed.is_empty() { Ok(()) } else { Err(failures) }
}

/// What a panic says.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "not a text".to_owned())
}

/// A name that no other check of this process has: small letters, digits and `_`.
fn place_name(check: &str) -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    format!("{check}_{}", NUMBER.fetch_add(1, Relaxed))
}
