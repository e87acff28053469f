//! The list of checks that every sink passes.

use std::path::PathBuf;
use std::sync::Arc;

use millstream_record::{Error, Result};
use millstream_sim::conformance::{self, SinkFixture};
use millstream_sim::{Simulated, TokioWorld, World};
use millstream_sqlite::{SqliteOptions, SqliteSink, Synchronous, Table, Value};
use tempfile::TempDir;

mod common;

struct Fixture {
    dir: TempDir,
    simulated: bool,
}

impl Fixture {
    fn path(&self, place: &str) -> PathBuf {
        self.dir.path().join(format!("{place}.db"))
    }

    fn look(&self, place: &str) -> anyhow::Result<Vec<(u64, u64)>> {
        let database = common::open(&self.path(place))?;
        let sql = "SELECT count(*) FROM sqlite_master WHERE name = ?";
        if database.query_row(sql, [place], |row| row.get::<_, i64>(0))? == 0 {
            return Ok(Vec::new());
        }
        let mut select = database.prepare(&format!("SELECT key, value FROM {place}"))?;
        let rows =
            select.query_map([], |row| Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

impl SinkFixture for Fixture {
    type Record = (u64, u64);
    type Sink = SqliteSink<(u64, u64)>;

    fn world(&self) -> Result<Arc<dyn World>> {
        if self.simulated { Ok(Arc::new(Simulated::default())) } else { Ok(Arc::new(TokioWorld::new()?)) }
    }

    fn sink(&self, place: &str) -> Result<Self::Sink> {
        let synchronous = Synchronous::Normal;
        let options =
            SqliteOptions { buffer_bytes: 64 << 10, synchronous, ..SqliteOptions::at(self.path(place)) };
        let table = Table::new(place).integer("key").integer("value").key(["key"]);
        let value =
            |number: u64| if number == u64::MAX { Value::Null } else { Value::Integer(number as i64) };
        Ok(SqliteSink::with_row(options, table, move |(key, count)| vec![value(*key), value(*count)]))
    }

    fn record(&self, key: u64, value: u64) -> (u64, u64) {
        (key, value)
    }

    fn visible(&self, place: &str) -> Result<Vec<(u64, u64)>> {
        self.look(place).map_err(|error| Error::bug("cannot read back").caused_by(error.to_string()))
    }

    fn refused(&self) -> Option<(u64, u64)> {
        Some((u64::MAX, 1))
    }
}

#[test]
fn on_real_threads() -> anyhow::Result<()> {
    Ok(conformance::sink(&Fixture { dir: tempfile::tempdir()?, simulated: false })?)
}

#[test]
fn under_the_simulated_clock() -> anyhow::Result<()> {
    Ok(conformance::sink(&Fixture { dir: tempfile::tempdir()?, simulated: true })?)
}
