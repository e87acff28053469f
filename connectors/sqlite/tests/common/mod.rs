//! What the tests against real files share.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use millstream_sim::{DrivenWriter, Harness, TokioWorld};
use millstream_sqlite::{SqliteOptions, SqliteSink, Table};
use millstream_stage::Rows;
use rusqlite::Connection;
use tempfile::TempDir;

/// A result of the main job.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Clicks {
    pub user_id: String,
    pub window_start: i64,
    pub count: u64,
}

pub type Writer = DrivenWriter<Clicks>;

pub fn table() -> Table {
    Table::new("user_clicks")
        .text("user_id")
        .integer("window_start")
        .integer("count")
        .key(["user_id", "window_start"])
}

pub fn clicks(users: std::ops::Range<u64>, count: u64) -> Vec<Clicks> {
    users.map(|user| Clicks { user_id: user.to_string(), window_start: 60_000, count }).collect()
}

/// A file that is not there yet, in a directory that lasts as long as the value.
pub struct File {
    pub dir: TempDir,
    pub path: PathBuf,
}

impl File {
    pub fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("clicks.db");
        Ok(Self { dir, path })
    }

    pub fn options(&self) -> SqliteOptions {
        SqliteOptions { busy_timeout: Duration::from_millis(500), ..SqliteOptions::at(&self.path) }
    }

    pub fn writer(&self, epoch: u64) -> Result<Writer> {
        writer(self.options(), table(), epoch)
    }

    pub fn database(&self) -> Result<Connection> {
        open(&self.path)
    }

    pub fn number(&self, sql: &str) -> Result<i64> {
        Ok(self.database()?.query_row(sql, [], |row| row.get(0))?)
    }
}

pub fn open(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    Ok(connection)
}

pub fn harness(epoch: u64) -> Result<Harness> {
    Ok(Harness::new(Arc::new(TokioWorld::new()?)).epoch(epoch))
}

pub fn writer(options: SqliteOptions, table: Table, epoch: u64) -> Result<Writer> {
    Ok(DrivenWriter::open(&SqliteSink::new(options, table), harness(epoch)?)?)
}

pub fn write(writer: &mut Writer, rows: Vec<Clicks>) -> millstream_record::Result<()> {
    writer.write(Rows::from(rows))
}
