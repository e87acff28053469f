//! The end of a chain: rows leave for the next stage.

use std::sync::Arc;

use millstream_record::Result;
use millstream_record::key::Key;
use millstream_record::key_group::{key_group, owner};
use millstream_record::record::Record;
use millstream_stage::batch::{Batch, EdgeId, Rows};
use millstream_stage::context::{Context, Emitted, OpenContext};
use millstream_stage::operator::{Push, SplitChange};
use millstream_stage::snapshot::{CheckpointId, Frozen};
use millstream_stage::stage::End;
use millstream_stage::step::{Budget, Step};
use millstream_stage::watermark::WatermarkEvent;

use crate::key_selector::KeySelector;

/// Fills the hash column of a batch.
pub type HashRows<T> = Arc<dyn Fn(&mut Rows<T>) + Send + Sync>;

/// Computes the key's hash of every row: the only place where a key is hashed.
pub fn hash_by<T: Record, K: Key>(key: KeySelector<T, K>) -> HashRows<T> {
    Arc::new(move |rows| {
        rows.hash.clear();
        key.hashes(&rows.rec, &mut rows.hash);
    })
}

/// Sends rows over an edge: by key group where there is a hash, else whole batches to the routes in turn.
pub struct Exchanged<T: Record> {
    edge: EdgeId,
    hash: Option<HashRows<T>>,
    stay: bool,
    routes: u16,
    groups: u16,
    turn: u16,
    parts: Vec<Rows<T>>,
}

impl<T: Record> Exchanged<T> {
    /// By key group.
    pub fn hash(edge: EdgeId, hash: HashRows<T>) -> Self {
        Self::new(edge, Some(hash), false)
    }

    /// Always to the same route, chosen by the subtask's number.
    pub fn forward(edge: EdgeId) -> Self {
        Self::new(edge, None, true)
    }

    /// Batch by batch to all routes in turn.
    pub fn rebalance(edge: EdgeId) -> Self {
        Self::new(edge, None, false)
    }

    fn new(edge: EdgeId, hash: Option<HashRows<T>>, stay: bool) -> Self {
        Self { edge, hash, stay, routes: 1, groups: 1, turn: 0, parts: Vec::new() }
    }

    fn emit(&self, cx: &mut Context<'_>, route: u16, rows: Rows<T>) {
        let batch = Batch::new(self.edge, route, cx.ingest, rows);
        cx.emitted.push(Emitted::Batch(batch));
    }

    fn scatter(&mut self, cx: &mut Context<'_>, rows: &mut Rows<T>) {
        let (hashes, origins) = (std::mem::take(&mut rows.hash), std::mem::take(&mut rows.origins));
        for (hash, (from, message)) in hashes.iter().zip(origins.iter()) {
            let route = owner(key_group(*hash, self.groups), self.groups, self.routes);
            self.parts[usize::from(route)].origins.push(from, message);
        }
        for ((record, ts), hash) in rows.drain().zip(hashes) {
            let route = owner(key_group(hash, self.groups), self.groups, self.routes);
            self.parts[usize::from(route)].push_keyed(record, ts, hash);
        }
        for route in 0..self.routes {
            let part = std::mem::take(&mut self.parts[usize::from(route)]);
            if !part.is_empty() {
                self.emit(cx, route, part);
            }
        }
    }
}

impl<T: Record> Push<T> for Exchanged<T> {
    fn open(&mut self, cx: &mut OpenContext) -> Result<()> {
        self.routes = cx.routes_of(self.edge);
        self.groups = cx.key_groups;
        self.turn = cx.subtask % self.routes;
        self.parts.resize_with(usize::from(self.routes), Rows::default);
        Ok(())
    }

    fn rows(&mut self, cx: &mut Context<'_>, rows: &mut Rows<T>) -> Result<Step> {
        if let Some(hash) = &self.hash {
            hash(rows);
            if self.routes > 1 {
                self.scatter(cx, rows);
                return Ok(Step::DONE);
            }
        } else {
            rows.hash.clear();
        }
        self.emit(cx, self.turn, std::mem::take(rows));
        if !self.stay {
            self.turn = (self.turn + 1) % self.routes;
        }
        Ok(Step::DONE)
    }

    fn on_watermark(&mut self, cx: &mut Context<'_>, watermark: WatermarkEvent) -> Result<Step> {
        cx.emitted.push(Emitted::Watermark(self.edge, watermark));
        Ok(Step::DONE)
    }

    fn resume(&mut self, _: &mut Context<'_>, _: Budget) -> Result<Step> {
        Ok(Step::DONE)
    }

    fn split(&mut self, _: &mut Context<'_>, _: &SplitChange) -> Result<()> {
        Ok(())
    }

    fn prepare(&mut self, _: &mut Context<'_>, _: CheckpointId) -> Result<Step> {
        Ok(Step::DONE)
    }

    fn snapshot(&mut self, _: CheckpointId, _: &mut Frozen) -> Result<()> {
        Ok(())
    }

    fn completed(&mut self, _: &mut Context<'_>, _: CheckpointId) -> Result<()> {
        Ok(())
    }

    fn aborted(&mut self, _: &mut Context<'_>, _: CheckpointId) {}

    fn end(&mut self, _: &mut Context<'_>, _: End) -> Result<Step> {
        Ok(Step::DONE)
    }

    fn close(&mut self) {}
}
