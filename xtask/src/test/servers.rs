//! The servers that all test programs of a run share.

use std::thread;

use anyhow::{Result, anyhow};
use millstream_testkit::{Elasticsearch, Kafka, Redis};

use crate::console;

/// Kafka, Elasticsearch and Redis; they end with this value.
#[derive(Debug)]
pub(super) struct Servers {
    kafka: Kafka,
    elasticsearch: Elasticsearch,
    redis: Redis,
}

impl Servers {
    /// Fetches them if need be, and starts them side by side.
    pub(super) fn start() -> Result<Self> {
        thread::scope(|scope| {
            let kafka = scope.spawn(Kafka::start);
            let elasticsearch = scope.spawn(Elasticsearch::start);
            let redis = Redis::start()?;
            let (kafka, elasticsearch) = (join(kafka)?, join(elasticsearch)?);
            let servers = Self { kafka, elasticsearch, redis };
            for (name, address) in servers.environment() {
                console::line(&format!("   {name}={address}"));
            }
            Ok(servers)
        })
    }

    /// The variables by which the test kit's `shared()` finds them.
    pub(super) fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("MILLSTREAM_TEST_KAFKA", self.kafka.bootstrap().to_owned()),
            ("MILLSTREAM_TEST_ELASTICSEARCH", self.elasticsearch.url().to_owned()),
            ("MILLSTREAM_TEST_REDIS", self.redis.url().to_owned()),
        ]
    }
}

fn join<T>(handle: thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    handle.join().map_err(|_| anyhow!("the thread that started a server panicked"))?
}
