//! The list of checks that every sink passes, for each kind of value.

use std::sync::Arc;

use millstream_record::{Error, Result};
use millstream_redis::{RedisOptions, RedisSink, RedisWrite};
use millstream_sim::conformance::{self, SinkFixture};
use millstream_sim::{TokioWorld, World};
use millstream_testkit::{Redis, unique_name};

mod common;

#[derive(Clone, Copy)]
enum Kind {
    Hash,
    Text,
    Ranking,
}

struct Fixture {
    kind: Kind,
    run: String,
    world: Arc<TokioWorld>,
    url: String,
}

impl Fixture {
    fn new(kind: Kind) -> anyhow::Result<Self> {
        let url = Redis::shared()?.url().to_owned();
        Ok(Self { kind, run: unique_name("conformance"), world: Arc::new(TokioWorld::new()?), url })
    }

    fn value(&self, client: &mut common::Client, key: &str) -> anyhow::Result<String> {
        match self.kind {
            Kind::Hash => client.ask(&["HGET", key, "value"]),
            Kind::Text => client.ask(&["GET", key]),
            Kind::Ranking => Ok(client.ask::<Vec<String>>(&["ZRANGE", key, "0", "-1"])?.concat()),
        }
    }

    fn look(&self, place: &str) -> anyhow::Result<Vec<(u64, u64)>> {
        let mut client = common::Client::of(&self.url)?;
        let prefix = format!("{}:{place}:", self.run);
        let keys: Vec<String> = client.ask(&["KEYS", &format!("{prefix}*")])?;
        let mut seen = Vec::new();
        for key in keys {
            seen.push((key[prefix.len()..].parse()?, self.value(&mut client, &key)?.parse()?));
        }
        Ok(seen)
    }
}

impl SinkFixture for Fixture {
    type Record = (u64, u64);
    type Sink = RedisSink<(u64, u64)>;

    fn world(&self) -> Result<Arc<dyn World>> {
        Ok(Arc::<TokioWorld>::clone(&self.world))
    }

    fn sink(&self, place: &str) -> Result<Self::Sink> {
        let (kind, prefix) = (self.kind, format!("{}:{place}", self.run));
        let options = RedisOptions { buffer_bytes: 512 << 10, ..RedisOptions::at(&self.url) };
        Ok(RedisSink::new(options, move |(key, value): &(u64, u64)| {
            let name = if *key == u64::MAX { format!("{prefix}}}") } else { format!("{prefix}:{key}") };
            match kind {
                Kind::Hash if *key == u64::MAX => RedisWrite::hash(""),
                Kind::Hash => RedisWrite::hash(name).field("value", value).field("key", key),
                Kind::Text => RedisWrite::string(name, value.to_string()),
                Kind::Ranking => RedisWrite::ranking(name).member(value.to_string(), *value as f64),
            }
        }))
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
fn hashes() -> anyhow::Result<()> {
    Ok(conformance::sink(&Fixture::new(Kind::Hash)?)?)
}

#[test]
fn strings() -> anyhow::Result<()> {
    Ok(conformance::sink(&Fixture::new(Kind::Text)?)?)
}

#[test]
fn rankings() -> anyhow::Result<()> {
    Ok(conformance::sink(&Fixture::new(Kind::Ranking)?)?)
}
