//! Looks now and then at what the client knows of its partitions: how much waits to be read, and what holds a
//! partition up.

use std::sync::Arc;

use millstream_stage::split::SplitId;
use millstream_stage::time::{Time, millis};

use super::{KafkaReader, LOOK_AGAIN_MS};
use crate::client::Peer as _;
use crate::fetch::Fetcher;
use crate::lasting::News;
use crate::partition::Partition;

/// After how long the log says that a transaction stays open.
const OPEN_FOR: Time = 60_000;

impl KafkaReader {
    pub(super) fn look_out(&mut self, now: Time) {
        if now < self.look_out_at {
            return;
        }
        self.look_out_at = now.saturating_add(LOOK_AGAIN_MS);
        let Some(fetcher) = &self.fetcher else { return };
        // Markers of transactions count too: they have offsets.
        let pending = |partition: &Partition| {
            let Some((low, high)) = known_range(fetcher, partition) else {
                return partition.ended.then_some(0);
            };
            let split = &partition.split;
            Some(split.stop.map_or(high, |stop| high.min(stop)).saturating_sub(split.next.max(low)).max(0))
        };
        // While the end of one of them is not known, the sum would be too low: it is not known either.
        let sum: Option<i64> = self.partitions.all().map(pending).sum();
        self.metrics.pending.set(sum.unwrap_or(-1));
        self.look_for_silent_brokers(now);
        self.look_for_open_transactions(now);
    }

    fn look_for_silent_brokers(&mut self, now: Time) {
        let Some(fetcher) = &self.fetcher else { return };
        for partition in self.partitions.all_mut() {
            partition.heard = partition.heard || known_range(fetcher, partition).is_some();
        }
        let unheard = |partition: &&Partition| !partition.ended && !partition.heard;
        let unheard: Vec<_> = self.partitions.all().filter(unheard).map(|partition| &*partition.id).collect();
        let patience = millis(self.options.connect_timeout);
        match self.unheard.look(now, !unheard.is_empty(), patience) {
            News::None => {}
            News::Lasts => tracing::warn!(
                splits = unheard.join(","),
                "no broker that has these partitions has answered for {} s, and they are waited for: Kafka answers at \
                 {}, but names its brokers by their `advertised.listeners`, and this machine must resolve and reach \
                 those names{}",
                self.options.connect_timeout.as_secs(),
                self.options.brokers,
                fetcher.client().events().last()
            ),
            News::Over => tracing::info!("the brokers of all partitions answer"),
        }
    }

    fn look_for_open_transactions(&mut self, now: Time) {
        let ids: Vec<_> = self.partitions.all().map(|partition| Arc::clone(&partition.id)).collect();
        for (index, id) in ids.iter().enumerate() {
            let open = self.partitions.is_at_end(id) && self.has_more(id);
            let partition = self.partitions.get_mut(index);
            let (split, offset) = (&**id, partition.split.next);
            match partition.open.look(now, open, OPEN_FOR) {
                News::None => {}
                News::Lasts => tracing::warn!(
                    split,
                    offset,
                    "a transaction has been open at this offset for {} s: what follows cannot be read, and event time \
                     waits for it. Where its producer is gone, `kafka-transactions.sh find-hanging` finds it",
                    OPEN_FOR / 1_000
                ),
                News::Over => tracing::info!(split, offset, "the transaction is no longer open"),
            }
        }
    }

    /// Whether a split that was read to its end goes on behind it: with messages of a transaction that is
    /// open, or with new ones.
    pub(super) fn has_more(&self, split: &SplitId) -> bool {
        let Some(fetcher) = &self.fetcher else { return false };
        let mut partitions = self.partitions.all().filter(|partition| partition.id == *split);
        partitions.any(|partition| {
            known_range(fetcher, partition).is_some_and(|(_, high)| high > partition.split.next)
        })
    }
}

// As its broker said last.
fn known_range(fetcher: &Fetcher, partition: &Partition) -> Option<(i64, i64)> {
    fetcher.client().known_range(&partition.split.topic, partition.split.partition)
}
