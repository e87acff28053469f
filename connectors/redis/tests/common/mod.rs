//! What the tests against a real Redis share.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use millstream_redis::{RedisOptions, RedisSink, RedisWrite};
use millstream_sim::{DrivenWriter, Harness, TokioWorld};
use millstream_stage::Rows;
use redis::FromRedisValue;

/// A record: the write itself.
pub type Writer = DrivenWriter<RedisWrite>;

pub fn options(url: &str) -> RedisOptions {
    let retry_max = Duration::from_millis(200);
    RedisOptions { start_timeout: Duration::from_secs(2), retry_max, ..RedisOptions::at(url) }
}

pub fn sink(options: RedisOptions) -> RedisSink<RedisWrite> {
    RedisSink::new(options, RedisWrite::clone)
}

pub fn harness(epoch: u64) -> Result<Harness> {
    Ok(Harness::new(Arc::new(TokioWorld::new()?)).epoch(epoch))
}

pub fn writer(options: RedisOptions, epoch: u64) -> Result<Writer> {
    Ok(DrivenWriter::open(&sink(options), harness(epoch)?)?)
}

pub fn write(
    writer: &mut Writer,
    writes: impl IntoIterator<Item = RedisWrite>,
) -> millstream_record::Result<()> {
    writer.write(Rows::from(writes.into_iter().collect::<Vec<_>>()))
}

/// Writes all of it and waits until it is there.
pub fn write_all(url: &str, epoch: u64, writes: impl IntoIterator<Item = RedisWrite>) -> Result<()> {
    let mut writer = writer(options(url), epoch)?;
    write(&mut writer, writes)?;
    writer.flush()?;
    writer.close();
    Ok(())
}

pub fn counter(writer: &Writer, name: &'static str) -> u64 {
    writer.harness().metrics().operator("sink").counter(name).get()
}

/// A second client, to look and to meddle.
pub struct Client(redis::Connection);

impl Client {
    pub fn of(url: &str) -> Result<Self> {
        Ok(Self(redis::Client::open(url)?.get_connection()?))
    }

    pub fn ask<T: FromRedisValue>(&mut self, command: &[&str]) -> Result<T> {
        let (name, arguments) = command.split_first().expect("a command has a name");
        Ok(redis::cmd(name).arg(arguments).query(&mut self.0)?)
    }

    pub fn do_it(&mut self, command: &[&str]) -> Result<()> {
        self.ask::<redis::Value>(command).map(drop)
    }

    pub fn hash(&mut self, key: &str) -> Result<BTreeMap<String, String>> {
        self.ask(&["HGETALL", key])
    }

    /// A field of each of these hashes.
    pub fn fields(&mut self, keys: &[String], field: &str) -> Result<Vec<Option<String>>> {
        let mut pipeline = redis::pipe();
        for key in keys {
            pipeline.cmd("HGET").arg(key).arg(field);
        }
        Ok(pipeline.query(&mut self.0)?)
    }
}
