//! The sink: settings and a mapping.

use std::sync::Arc;

use millstream_delivery::Writers;
use millstream_record::{Data, Result};
use millstream_stage::OpenContext;
use millstream_stage::sink::{Guarantee, Sink, SinkWriter};

use crate::config::RedisOptions;
use crate::store::Writes;
use crate::write::RedisWrite;

/// Writes each record as one key of a Redis server (6.2 to 8, or Valkey).
///
/// ```
/// use millstream_redis::{RedisOptions, RedisSink, RedisWrite};
///
/// #[derive(Clone)]
/// struct Clicks { user: String, window_end: i64, count: u64 }
///
/// let sink = RedisSink::new(RedisOptions::at("redis://127.0.0.1:6379"), |row: &Clicks| {
///     RedisWrite::hash(format!("clicks:{}:{}", row.user, row.window_end)).field("count", row.count)
/// });
/// # use millstream_stage::sink::Sink;
/// assert!(sink.validate().is_ok());
/// ```
pub struct RedisSink<T> {
    options: Arc<RedisOptions>,
    writers: Writers<Writes<T>>,
}

impl<T: Data> RedisSink<T> {
    /// A sink that writes what `map` makes of each record. All writes of one key must come from one subtask:
    /// key the stream by what the key is made of.
    pub fn new(options: RedisOptions, map: impl Fn(&T) -> RedisWrite + Send + Sync + 'static) -> Self {
        let options = Arc::new(options);
        let writers = Writers::new(Writes { options: Arc::clone(&options), map: Box::new(map) });
        Self { options, writers }
    }
}

impl<T: Data> Sink<T> for RedisSink<T> {
    fn kind(&self) -> &'static str {
        "redis"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::IdempotentFenced
    }

    fn validate(&self) -> Result<()> {
        self.options.validate()
    }

    fn writer(&self, name: &str, cx: &mut OpenContext) -> Result<Box<dyn SinkWriter<T>>> {
        self.writers.writer(name, cx)
    }
}
