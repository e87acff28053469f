//! What travels between subtasks in Flink: a batch, a watermark or an end, as bytes behind a header.
//!
//! ```text
//! routing key   4 bytes, filled in by the harness: an int whose key group the receiver owns
//! kind          1 byte: batch, watermark, idle, active, end
//! edge          4 bytes
//! upstream      2 bytes: the sending subtask
//! route         2 bytes: the receiving subtask
//! routes        2 bytes: how many receivers the sender knows
//! time          8 bytes: of a batch, when its youngest record entered the job, by the wall clock;
//!                        of a watermark, the watermark
//! records       4 bytes
//! body          of a batch, what the edge's codec makes of it
//! ```

use millstream_checkpoint::wire::WireReader;
use millstream_record::{Error, Result};
use millstream_stage::batch::{Batch, EdgeCodec, EdgeId};
use millstream_stage::stage::End;
use millstream_stage::time::{Clock, Nanos, Time};
use millstream_stage::watermark::WatermarkEvent;

const BATCH: u8 = 0;
const WATERMARK: u8 = 1;
const IDLE: u8 = 2;
const ACTIVE: u8 = 3;
const FINISHED: u8 = 4;
const STOPPED: u8 = 5;

/// Where an element comes from and where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) edge: EdgeId,
    pub(crate) upstream: u16,
    pub(crate) route: u16,
    pub(crate) routes: u16,
}

/// What was received.
pub(crate) enum Received {
    Batch(Batch),
    Watermark(WatermarkEvent),
    End(End),
}

fn header(kind: u8, to: Address, time: i64, records: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0; 4]);
    out.push(kind);
    out.extend_from_slice(&to.edge.to_be_bytes());
    for number in [to.upstream, to.route, to.routes] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    out.extend_from_slice(&time.to_be_bytes());
    out.extend_from_slice(&records.to_be_bytes());
}

/// A batch in parts that are small enough for an element. On the JVM's heap, Flink has an element and twice its
/// size as a buffer, so only a single record may be larger than this.
pub(crate) fn parts(batch: Batch, codec: &dyn EdgeCodec) -> Result<Vec<Batch>> {
    const LARGEST: u32 = 1 << 20;
    let parts = batch.bytes.div_ceil(LARGEST).max(1);
    if parts == 1 || batch.records == 1 {
        return Ok(vec![batch]);
    }
    let records = batch.records.div_ceil(parts);
    codec.recut(vec![batch], records as usize)
}

/// A batch as an element.
pub(crate) fn of_batch(
    to: Address,
    batch: &Batch,
    codec: &dyn EdgeCodec,
    clock: &dyn Clock,
) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(batch.bytes as usize / 2 + 64);
    let age = clock.nanos().saturating_sub(batch.ingest) / 1_000_000;
    header(BATCH, to, clock.now().saturating_sub(age as i64), batch.records, &mut out);
    codec.encode(batch, &mut out)?;
    Ok(out)
}

/// A watermark or a change of idleness as an element.
pub(crate) fn of_watermark(to: Address, watermark: WatermarkEvent) -> Vec<u8> {
    let (kind, time) = match watermark {
        WatermarkEvent::Watermark(time) => (WATERMARK, time),
        WatermarkEvent::Idle => (IDLE, 0),
        WatermarkEvent::Active => (ACTIVE, 0),
    };
    let mut out = Vec::new();
    header(kind, to, time, 0, &mut out);
    out
}

/// The end of a channel as an element.
pub(crate) fn of_end(to: Address, end: End) -> Vec<u8> {
    let kind = if end == End::Finished { FINISHED } else { STOPPED };
    let mut out = Vec::new();
    header(kind, to, 0, 0, &mut out);
    out
}

/// Reads an element.
///
/// # Errors
/// One that is cut or was written by another version of the program.
pub(crate) fn read(bytes: &[u8], codec: &dyn EdgeCodec, clock: &dyn Clock) -> Result<(Address, Received)> {
    let mut rest = WireReader(bytes);
    rest.int()?;
    let kind = rest.byte()?;
    let edge: EdgeId = rest.number()?;
    let mut short = || Ok::<_, Error>(u16::from_be_bytes([rest.byte()?, rest.byte()?]));
    let to = Address { edge, upstream: short()?, route: short()?, routes: short()? };
    let time = rest.long()?;
    rest.int()?;
    let received = match kind {
        BATCH => Received::Batch(codec.decode(rest.0, edge, to.route, ingest(time, clock))?),
        WATERMARK => Received::Watermark(WatermarkEvent::Watermark(time)),
        IDLE => Received::Watermark(WatermarkEvent::Idle),
        ACTIVE => Received::Watermark(WatermarkEvent::Active),
        FINISHED => Received::End(End::Finished),
        STOPPED => Received::End(End::Stopped),
        other => return Err(Error::bug(format!("an element on edge {edge} is of the unknown kind {other}"))),
    };
    Ok((to, received))
}

// Monotonic clocks of different machines have nothing in common, so the age travels by the wall clock.
fn ingest(entered: Time, clock: &dyn Clock) -> Nanos {
    let age = clock.now().saturating_sub(entered).max(0) as u64;
    clock.nanos().saturating_sub(age.saturating_mul(1_000_000))
}

#[cfg(test)]
mod tests {
    use millstream_stage::batch::{RecordCodec, Rows};

    use super::*;

    fn sizes_of_parts(sizes: &[usize]) -> Vec<Vec<usize>> {
        let rows: Rows<String> = sizes.iter().map(|size| "x".repeat(*size)).collect::<Vec<_>>().into();
        let parts = parts(Batch::new(3, 1, 7, rows), &RecordCodec::<String>::default()).unwrap();
        let sizes = |part: Batch| part.into_rows::<String>().unwrap().rec.iter().map(String::len).collect();
        parts.into_iter().map(sizes).collect()
    }

    #[test]
    fn a_large_batch_is_cut_between_records() {
        assert_eq!(sizes_of_parts(&[10, 20, 30]), [[10, 20, 30]]);
        assert_eq!(sizes_of_parts(&[5 << 20]), [[5 << 20]]);
        assert_eq!(sizes_of_parts(&[1 << 20, 2 << 20, 5]), [[1 << 20], [2 << 20], [5]]);
        assert_eq!(sizes_of_parts(&[700 << 10; 4]), [[700 << 10; 2], [700 << 10; 2]]);
    }
}
