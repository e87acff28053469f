//! Redis as the delivery engine sees it: a mapping, one pipeline, and the start.

use std::sync::Arc;
use std::time::Duration;

use millstream_delivery::{ItemError, Items, Limits, Mapping, Names, NotReady, Reply, Store, Work};
use millstream_record::{Data, Result};
use millstream_stage::{OpenContext, Version};
use redis::Pipeline;

use crate::client::Link;
use crate::config::RedisOptions;
use crate::encode::{PendingWrite, to_json};
use crate::write::RedisWrite;

/// What makes a write of a record, and where that goes.
pub(crate) struct Writes<T> {
    pub(crate) options: Arc<RedisOptions>,
    pub(crate) map: Box<dyn Fn(&T) -> RedisWrite + Send + Sync>,
}

impl<T: Data> Mapping<T> for Writes<T> {
    type Store = Server;

    fn open(&self, _: &str, cx: &OpenContext) -> Result<(Server, Limits)> {
        let options = Arc::clone(&self.options);
        let link = Arc::new(Link::new(Arc::clone(&options), cx.epoch));
        let limits = limits(&options);
        Ok((Server { link, options }, limits))
    }

    fn item(&self, record: &T, _: Version) -> Result<PendingWrite, ItemError> {
        let write = (self.map)(record);
        match write.fault() {
            Some(reason) => Err(ItemError::Refused { value: to_json(&write), reason }),
            None => Ok(write.into()),
        }
    }
}

fn limits(options: &RedisOptions) -> Limits {
    const SLACK: Duration = Duration::from_secs(5);
    Limits {
        batch_items: options.batch_records,
        request_items: options.batch_records,
        request_bytes: options.batch_bytes,
        linger: options.linger,
        in_flight: options.max_in_flight,
        buffer_bytes: options.buffer_bytes,
        first_pause: options.retry_initial,
        longest_pause: options.retry_max,
        give_up: Some(options.retry_for),
        start_timeout: options.start_timeout,
        // A pipeline may connect anew and send the script and itself once more.
        answer_timeout: (options.connect_timeout + options.request_timeout) * 3 + SLACK,
    }
}

/// One writer's way to the server.
pub(crate) struct Server {
    link: Arc<Link>,
    options: Arc<RedisOptions>,
}

impl Store for Server {
    type Item = PendingWrite;

    fn names(&self) -> Names {
        Names {
            kind: "redis",
            product: "Redis",
            stale: "stale",
            overloaded: None,
            start_timeout: "start-timeout",
            give_up: "retry-for",
        }
    }

    fn subject(&self) -> String {
        format!("Redis at {}", self.options.url)
    }

    fn start(&mut self, _: &Arc<Vec<PendingWrite>>) -> Work<Result<(), NotReady>> {
        let link = Arc::clone(&self.link);
        Work::future(async move { link.start().await })
    }

    fn request(&mut self, items: Items<'_, PendingWrite>) -> Work<Reply> {
        let (link, count) = (Arc::clone(&self.link), items.len());
        let mut pipeline = Pipeline::with_capacity(count);
        for (item, version) in items.iter() {
            pipeline.add_command(item.command(version, link.script(), self.options.expiry));
        }
        Work::future(async move { link.send(&pipeline, count).await })
    }

    fn thaw(&self, item: &[u8]) -> Result<(PendingWrite, Version)> {
        PendingWrite::thaw(item)
    }
}
