//! What a rig is fed with, without its types.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use millstream_record::Record;
use millstream_stage::WatermarkEvent;
use millstream_stage::batch::{Batch, EdgeCodec, EdgeId, RecordCodec, Rows};
use millstream_stage::stage::{End, InputId};
use millstream_stage::time::{Nanos, Time};

use super::feed::Feed;
use super::transcript::show_watermark;

/// Batches of the inputs are numbered from here, so that they are not taken for outputs.
const INPUT_EDGES: EdgeId = 1_000;

/// Computes a key's hash.
pub(super) type HashOf<T> = Arc<dyn Fn(&T) -> u64>;

/// All records of one input.
pub(super) struct InputData {
    pub(super) codec: Arc<dyn EdgeCodec>,
    pub(super) cut: Box<dyn Fn(Range<usize>, Nanos) -> Batch>,
}

/// One thing that happens, for one way of cutting batches.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    Data(InputId, Range<usize>),
    Watermark(Option<InputId>, WatermarkEvent),
    Now(Time),
    End(Option<InputId>, End),
}

/// One thing that happens, and the segment of the output that answers it.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) segment: usize,
    pub(super) happening: Happening,
}

/// Everything that a rig is fed with.
pub(super) struct Script {
    pub(super) inputs: Vec<InputData>,
    happenings: Vec<Happening>,
    texts: Vec<String>,
}

impl Script {
    pub(super) fn new<A: Record + Debug, B: Record + Debug>(
        feed: impl IntoIterator<Item = Feed<A, B>>,
        hashes: (Option<HashOf<A>>, Option<HashOf<B>>),
        inputs: usize,
    ) -> Self {
        let (mut first, mut second) = (Column::new(hashes.0), Column::new(hashes.1));
        let (mut happenings, mut texts) = (Vec::new(), Vec::new());
        for item in feed {
            let (happening, text) = match item {
                Feed::First(record, ts) => (Happening::Data(0, first.next()), first.take(record, ts)),
                Feed::Second(record, ts) => (Happening::Data(1, second.next()), second.take(record, ts)),
                Feed::Watermark(input, watermark) => {
                    (Happening::Watermark(input, watermark), show_watermark(watermark))
                }
                Feed::Now(time) => (Happening::Now(time), format!("processing time {time}")),
                Feed::End(input, end) => (Happening::End(input, end), format!("end of input, {end:?}")),
            };
            happenings.push(happening);
            texts.push(text);
        }
        let mut data = vec![first.into_data(0)];
        if inputs > 1 {
            data.push(second.into_data(1));
        }
        Self { inputs: data, happenings, texts }
    }

    /// Everything in order, records of one input that follow each other in batches of at most this many. All
    /// records between two other happenings share a segment.
    pub(super) fn steps(&self, batch: usize) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        let mut segment = 0;
        for happening in &self.happenings {
            let last = steps.last_mut().map(|step| &mut step.happening);
            match (last, happening) {
                (Some(Happening::Data(before, taken)), Happening::Data(input, next))
                    if before == input && taken.len() < batch =>
                {
                    taken.end = next.end;
                    continue;
                }
                (Some(Happening::Data(..)), Happening::Data(..)) | (None, _) => {}
                _ => segment += 1,
            }
            steps.push(Step { segment, happening: happening.clone() });
        }
        steps
    }

    /// What happened in a segment, for messages.
    pub(super) fn describe(&self, segment: usize) -> String {
        let steps = self.steps(1);
        let texts = steps.iter().zip(&self.texts).filter(|(step, _)| step.segment == segment);
        texts.map(|(_, text)| text.as_str()).collect::<Vec<_>>().join(", ")
    }
}

struct Column<T> {
    records: Vec<T>,
    times: Vec<Time>,
    hash: Option<HashOf<T>>,
}

impl<T: Record + Debug> Column<T> {
    fn new(hash: Option<HashOf<T>>) -> Self {
        Self { records: Vec::new(), times: Vec::new(), hash }
    }

    fn next(&self) -> Range<usize> {
        self.records.len()..self.records.len() + 1
    }

    fn take(&mut self, record: T, ts: Time) -> String {
        let text = format!("{record:?} at {ts}");
        self.records.push(record);
        self.times.push(ts);
        text
    }

    fn into_data(self, input: InputId) -> InputData {
        let codec = Arc::new(RecordCodec::<T>::default());
        let cut = move |range: Range<usize>, ingest| {
            let (rec, ts) = (self.records[range.clone()].to_vec(), self.times[range].to_vec());
            let hash = self
                .hash
                .as_ref()
                .map_or_else(Vec::new, |hash| rec.iter().map(|record| hash(record)).collect());
            Batch::new(
                INPUT_EDGES + EdgeId::from(input),
                0,
                ingest,
                Rows { rec, ts, hash, ..Rows::default() },
            )
        };
        InputData { codec, cut: Box::new(cut) }
    }
}
