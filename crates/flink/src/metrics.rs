//! The metrics of a subtask for Flink's metric groups.

use millstream_checkpoint::wire::WireWriter;
use millstream_stage::metrics::{Counter, OperatorMetrics, SubtaskMetrics};
use millstream_stage::time::MIN_TIME;

const COUNTER: u8 = 0;
const GAUGE: u8 = 1;

/// Records that came into a subtask and left it. Flink counts the elements, which hold many records.
#[derive(Debug, Default)]
pub(crate) struct RecordCounters {
    pub(crate) records_in: Counter,
    pub(crate) records_out: Counter,
}

/// The subtask as a whole, then operator by operator, under Flink's names where Flink has the metric.
pub(crate) fn encode(counters: &RecordCounters, metrics: &SubtaskMetrics) -> Vec<u8> {
    let whole = [("numRecordsIn", &counters.records_in), ("numRecordsOut", &counters.records_out)];
    let whole = whole.map(|(name, counter)| (name.to_owned(), COUNTER, counter.get() as f64)).to_vec();
    let operators = metrics.operators();
    let operators = operators.iter().map(|operator| (operator.name.as_str(), of(operator)));
    let mut out = WireWriter::default();
    out.list(std::iter::once(("", whole)).chain(operators).collect::<Vec<_>>(), |out, (name, values)| {
        out.text(name);
        out.list(&values, |out, (name, kind, value)| {
            out.text(name);
            out.byte(*kind);
            out.double(*value);
        });
    });
    out.0
}

fn of(operator: &OperatorMetrics) -> Vec<(String, u8, f64)> {
    let counters = [
        ("numRecordsIn", operator.records_in.get()),
        ("numRecordsOut", operator.records_out.get()),
        ("numBytesIn", operator.bytes_in.get()),
        ("numBytesOut", operator.bytes_out.get()),
        ("numLateRecords", operator.late.get()),
        ("unacknowledgedRecords", operator.unacknowledged()),
    ];
    let counters = counters.into_iter().map(|(name, value)| (name.to_owned(), COUNTER, value as f64));
    let own = operator.counters().into_iter().map(|(name, value)| (name.to_owned(), COUNTER, value as f64));
    let pending = Some(operator.pending.get()).filter(|pending| *pending >= 0);
    let pending = pending.map(|pending| ("pendingRecords".to_owned(), GAUGE, pending as f64));
    let watermark = Some(operator.watermark.get()).filter(|watermark| *watermark != MIN_TIME);
    let watermark = watermark.map(|watermark| ("currentOutputWatermark".to_owned(), GAUGE, watermark as f64));
    let states = operator.states().into_iter().flat_map(|(state, metrics)| {
        let gauge = |name: &str, value: i64| (format!("{state}.{name}"), GAUGE, value as f64);
        [gauge("keys", metrics.keys.get()), gauge("bytes", metrics.bytes.get())]
    });
    counters.chain(own).chain(pending).chain(watermark).chain(states).collect()
}
