//! Records travel in batches of columns.

use std::any::Any;

use millstream_record::key_group::KeyGroup;
use millstream_record::record::{Data, Record};
use millstream_record::{Error, Result};

use crate::origin::Origins;
use crate::time::{MIN_TIME, Nanos, Time};

/// A batch of records of one type. All columns that are filled have the same length.
#[derive(Clone, Debug)]
pub struct Rows<T> {
    /// The records.
    pub rec: Vec<T>,
    /// Event times; [`MIN_TIME`] for a record that has none yet.
    pub ts: Vec<Time>,
    /// Hashes of the keys: filled at `key_by`, empty before it.
    pub hash: Vec<u64>,
    /// The messages that the records were decoded from: empty unless `DataStream::decode_with_origins` keeps
    /// them.
    pub origins: Origins,
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self { rec: Vec::new(), ts: Vec::new(), hash: Vec::new(), origins: Origins::default() }
    }
}

impl<T> Rows<T> {
    /// How many records there are.
    pub fn len(&self) -> usize {
        self.rec.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rec.is_empty()
    }

    /// Appends a record that has no key yet.
    pub fn push(&mut self, record: T, ts: Time) {
        self.rec.push(record);
        self.ts.push(ts);
    }

    /// Appends a record with its key's hash.
    pub fn push_keyed(&mut self, record: T, ts: Time, hash: u64) {
        self.push(record, ts);
        self.hash.push(hash);
    }

    /// Appends a record that is, or was made of, record `index` of a batch with these origins.
    pub fn push_of(&mut self, record: T, ts: Time, origins: &Origins, index: usize) {
        if self.origins.len() == self.len()
            && let Some((from, message)) = origins.at(index)
        {
            self.origins.push(from, message);
        }
        self.push(record, ts);
    }

    // Where an operator has added records of its own there are fewer origins than records, and nobody can
    // rely on them.
    fn keeps_origins(&self) -> bool {
        self.origins.len() == self.len()
    }

    /// Empties all columns and keeps their memory.
    pub fn clear(&mut self) {
        self.rec.clear();
        self.ts.clear();
        self.hash.clear();
        self.origins.clear();
    }

    /// Takes every record with its time and leaves the columns empty. Hashes and origins are dropped.
    pub fn drain(&mut self) -> impl Iterator<Item = (T, Time)> + '_ {
        self.hash.clear();
        self.origins.clear();
        self.rec.drain(..).zip(self.ts.drain(..))
    }

    /// Keeps the records that a predicate accepts, in their order. Hashes are dropped.
    pub fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.hash.clear();
        let (rec, ts) = (&mut self.rec, &mut self.ts);
        let (records, mut kept) = (rec.len(), 0);
        let mut keep = |index: usize| {
            let keeps = keep(&rec[index]);
            if keeps {
                rec.swap(kept, index);
                ts.swap(kept, index);
                kept += 1;
            }
            keeps
        };
        if self.origins.is_empty() {
            for index in 0..records {
                keep(index);
            }
        } else {
            self.origins.retain(keep);
        }
        self.rec.truncate(kept);
        self.ts.truncate(kept);
    }

    /// Moves everything to the end of `other`.
    pub fn append_to(&mut self, other: &mut Self) {
        if other.is_empty() {
            std::mem::swap(self, other);
            self.clear();
            return;
        }
        if self.keeps_origins() && other.keeps_origins() {
            self.origins.append_to(&mut other.origins);
        } else {
            other.origins.clear();
        }
        other.rec.append(&mut self.rec);
        other.ts.append(&mut self.ts);
        other.hash.append(&mut self.hash);
        self.origins.clear();
    }
}

impl<T> FromIterator<(T, Time)> for Rows<T> {
    fn from_iter<I: IntoIterator<Item = (T, Time)>>(items: I) -> Self {
        let (rec, ts) = items.into_iter().unzip();
        Self { rec, ts, ..Self::default() }
    }
}

impl<T> From<Vec<T>> for Rows<T> {
    fn from(rec: Vec<T>) -> Self {
        let ts = vec![MIN_TIME; rec.len()];
        Self { rec, ts, ..Self::default() }
    }
}

/// An exchange between two stages; its index in the plan.
pub type EdgeId = u32;

/// Rows on their way from one stage to another. Within a process they move; [`EdgeCodec`] is for everything
/// else.
pub struct Batch {
    /// The exchange it travels on.
    pub edge: EdgeId,
    /// A bundle of key groups (hash exchange) or a channel (forward, rebalance); the driver maps it to a
    /// subtask.
    pub route: u16,
    /// When its youngest record entered the job, by the driver's monotonic clock.
    pub ingest: Nanos,
    /// An estimate of the memory it holds.
    pub bytes: u32,
    /// How many records it holds.
    pub records: u32,
    body: Box<dyn Any + Send>,
}

impl Batch {
    /// A batch of rows for one route of an edge.
    pub fn new<T: Record>(edge: EdgeId, route: u16, ingest: Nanos, rows: Rows<T>) -> Self {
        let bytes = u32::try_from(size_of_rows(&rows)).unwrap_or(u32::MAX);
        Self { edge, route, ingest, bytes, records: rows.len() as u32, body: Box::new(rows) }
    }

    /// The rows, which must be of this type.
    pub fn into_rows<T: Data>(self) -> Result<Rows<T>> {
        let rows = self.body.downcast::<Rows<T>>();
        rows.map(|rows| *rows).map_err(|_| {
            Error::bug(format!("edge {} carries another type than {}", self.edge, std::any::type_name::<T>()))
        })
    }

    fn rows<T: Data>(&self) -> Result<&Rows<T>> {
        self.body.downcast_ref().ok_or_else(|| {
            Error::bug(format!("edge {} carries another type than {}", self.edge, std::any::type_name::<T>()))
        })
    }
}

fn size_of_rows<T: Record>(rows: &Rows<T>) -> usize {
    let inline = size_of::<T>() + size_of::<Time>() + size_of::<u64>();
    rows.len() * inline + rows.rec.iter().map(Record::heap_size).sum::<usize>() + rows.origins.heap_size()
}

/// Turns an edge's batches into bytes and back, and splits them by owner: for Flink, for spilling, for the
/// rig.
pub trait EdgeCodec: Send + Sync {
    /// Appends the batch's body (records, times, hashes) to `out`.
    fn encode(&self, batch: &Batch, out: &mut Vec<u8>) -> Result<()>;
    /// The batch that [`encode`](Self::encode) wrote, for an edge and a route.
    fn decode(&self, bytes: &[u8], edge: EdgeId, route: u16, ingest: Nanos) -> Result<Batch>;
    /// Splits a keyed batch by key group; `owner` names the route of each. A batch without hashes stays
    /// whole.
    fn partition(
        &self,
        batch: Batch,
        groups: u16,
        owner: &dyn Fn(KeyGroup) -> u16,
        out: &mut Vec<Batch>,
    ) -> Result<()>;
    /// The same rows, in order, in batches of at most so many records: how batches are cut means nothing, and
    /// tests show it.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`](millstream_record::ErrorKind::Bug) for batches of another type.
    fn recut(&self, batches: Vec<Batch>, records: usize) -> Result<Vec<Batch>>;
}

/// The [`EdgeCodec`] of a record type: Avro binary columns.
pub struct RecordCodec<T>(std::marker::PhantomData<fn() -> T>);

impl<T> Default for RecordCodec<T> {
    fn default() -> Self {
        Self(std::marker::PhantomData)
    }
}

impl<T: Record> EdgeCodec for RecordCodec<T> {
    fn encode(&self, batch: &Batch, out: &mut Vec<u8>) -> Result<()> {
        let rows = batch.rows::<T>()?;
        (rows.len() as u64).encode(out);
        (!rows.hash.is_empty()).encode(out);
        rows.keeps_origins().encode(out);
        if rows.keeps_origins() {
            rows.origins.encode(out);
        }
        for index in 0..rows.len() {
            rows.ts[index].encode(out);
            if let Some(hash) = rows.hash.get(index) {
                out.extend_from_slice(&hash.to_le_bytes());
            }
            rows.rec[index].encode(out);
        }
        Ok(())
    }

    fn decode(&self, mut bytes: &[u8], edge: EdgeId, route: u16, ingest: Nanos) -> Result<Batch> {
        let bytes = &mut bytes;
        let count = u64::decode(bytes)?;
        let keyed = bool::decode(bytes)?;
        let mut rows = Rows::default();
        if bool::decode(bytes)? {
            rows.origins = Origins::decode(bytes)?;
        }
        for _ in 0..count {
            rows.ts.push(Time::decode(bytes)?);
            if keyed {
                rows.hash.push(decode_hash(bytes)?);
            }
            rows.rec.push(T::decode(bytes)?);
        }
        if !bytes.is_empty() {
            return Err(Error::data(format!("{} bytes follow the batch on edge {edge}", bytes.len())));
        }
        Ok(Batch::new(edge, route, ingest, rows))
    }

    fn partition(
        &self,
        batch: Batch,
        groups: u16,
        owner: &dyn Fn(KeyGroup) -> u16,
        out: &mut Vec<Batch>,
    ) -> Result<()> {
        let (edge, route, ingest) = (batch.edge, batch.route, batch.ingest);
        let mut rows = batch.into_rows::<T>()?;
        if rows.hash.is_empty() {
            out.push(Batch::new(edge, route, ingest, rows));
            return Ok(());
        }
        let mut parts: Vec<(u16, Rows<T>)> = Vec::new();
        let (hashes, origins) = (std::mem::take(&mut rows.hash), std::mem::take(&mut rows.origins));
        for (row, ((record, ts), hash)) in rows.drain().zip(hashes).enumerate() {
            let route = owner(millstream_record::key_group::key_group(hash, groups));
            let index = parts.iter().position(|(part, _)| *part == route).unwrap_or_else(|| {
                parts.push((route, Rows::default()));
                parts.len() - 1
            });
            let part = &mut parts[index].1;
            part.push_of(record, ts, &origins, row);
            part.hash.push(hash);
        }
        out.extend(parts.into_iter().map(|(route, rows)| Batch::new(edge, route, ingest, rows)));
        Ok(())
    }

    fn recut(&self, batches: Vec<Batch>, records: usize) -> Result<Vec<Batch>> {
        let Some(first) = batches.first() else { return Ok(batches) };
        let (edge, route) = (first.edge, first.route);
        let ingest = batches.iter().map(|batch| batch.ingest).max().unwrap_or(0);
        let mut all = Rows::<T>::default();
        for batch in batches {
            batch.into_rows::<T>()?.append_to(&mut all);
        }
        let mut cut = Vec::new();
        while !all.is_empty() {
            cut.push(Batch::new(edge, route, ingest, take_front(&mut all, records)));
        }
        Ok(cut)
    }
}

fn take_front<T: Record>(rows: &mut Rows<T>, records: usize) -> Rows<T> {
    let count = records.clamp(1, rows.len());
    let hashes = count.min(rows.hash.len());
    Rows {
        rec: rows.rec.drain(..count).collect(),
        ts: rows.ts.drain(..count).collect(),
        hash: rows.hash.drain(..hashes).collect(),
        origins: rows.origins.take_front(count),
    }
}

fn decode_hash(bytes: &mut &[u8]) -> Result<u64> {
    let (hash, rest) =
        bytes.split_first_chunk::<8>().ok_or_else(|| Error::data("a batch ends within a hash"))?;
    *bytes = rest;
    Ok(u64::from_le_bytes(*hash))
}
