//! State in RocksDB: against the bare crate, against the heap, and with more keys than memory holds.

mod bare;
mod change;
mod job;
mod many;

use anyhow::Result;

use crate::Arguments;
use crate::report::Report;

/// The store alone, then a job.
pub(crate) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    bare::run(arguments, report)?;
    job::run(arguments, report)?;
    change::run(arguments, report)
}

/// 20 million keys with a budget of 512 MB.
pub(crate) fn many(arguments: &Arguments, report: &mut Report) -> Result<()> {
    many::run(arguments, report)
}
