//! How the sinks of a job are doing, all subtasks of each together: for the page and for metrics.

use std::time::Duration;

use millstream_stage::metrics::OperatorMetrics;
use millstream_stage::plan::OperatorSpec;
use millstream_stage::reasons::{ReasonCount, merged};
use millstream_stage::sink::Guarantee;
use millstream_stage::time::Nanos;
use millstream_stage::unwritten::Backlog;

use crate::control::JobControl;

/// One sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkStatus {
    /// The name that the user gave.
    pub name: String,
    /// The system that it writes to, as troubles name it, such as "Redis at redis://shop:6379"; empty where
    /// its writer does not say.
    pub system: String,
    /// How many rows its system has acknowledged.
    pub written: u64,
    /// How many rows it has taken that its system has not acknowledged.
    pub unwritten: u64,
    /// For how long the oldest of those has been in the job.
    pub oldest: Option<Duration>,
    /// How often it commits, where its rows are written when a checkpoint is complete and not before.
    pub commits_every: Option<Duration>,
}

impl JobControl {
    /// All sinks, in the order of the plan. While the job waits for its next attempt, they stand as the last
    /// one left them.
    pub fn sinks(&self) -> Vec<SinkStatus> {
        let setup = &self.state.setup;
        let metrics: Vec<_> = setup.metrics.operators().map(|(_, metrics)| metrics).collect();
        let (now, interval) = (self.nanos(), setup.options.checkpointing.interval);
        let operators = self.plan().stages.iter().flat_map(|stage| &stage.operators);
        let sinks = operators.filter(|spec| spec.sink.is_some()).map(|spec| {
            let parts = metrics.iter().filter(|metrics| metrics.name == spec.name);
            status(spec, parts.map(AsRef::as_ref), now, interval)
        });
        sinks.collect()
    }

    /// The dead letters of all operators by reason, the commonest first.
    pub fn dead_letter_reasons(&self) -> Vec<ReasonCount> {
        merged(self.metrics().operators().flat_map(|(_, operator)| operator.reasons.all()))
    }
}

fn status<'a>(
    spec: &OperatorSpec,
    parts: impl Iterator<Item = &'a OperatorMetrics>,
    now: Nanos,
    interval: Option<Duration>,
) -> SinkStatus {
    let (mut backlog, mut written, mut system) = (Backlog::default(), 0, String::new());
    for metrics in parts {
        backlog = backlog.and(metrics.unwritten.get());
        written += metrics.latency.count();
        system = metrics.system();
    }
    SinkStatus {
        name: spec.name.clone(),
        system,
        written,
        unwritten: backlog.rows,
        oldest: backlog.oldest.map(|oldest| Duration::from_nanos(now.saturating_sub(oldest))),
        commits_every: interval.filter(|_| spec.sink == Some(Guarantee::Transactional)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subtasks_of_a_sink_are_one_and_as_late_as_the_latest() {
        let (one, other) = (OperatorMetrics::new("rows"), OperatorMetrics::new("rows"));
        one.set_system("Redis at redis://shop");
        other.set_system("Redis at redis://shop");
        one.unwritten.set(Backlog { rows: 2, oldest: Some(3_000_000_000) });
        other.unwritten.set(Backlog { rows: 5, oldest: Some(1_000_000_000) });
        other.latency.record(7, 4);
        let spec = OperatorSpec {
            name: "rows".into(),
            sink: Some(Guarantee::Transactional),
            ..OperatorSpec::default()
        };
        let minute = Some(Duration::from_secs(60));
        let sink = status(&spec, [&one, &other].into_iter(), 11_000_000_000, minute);
        assert_eq!((sink.unwritten, sink.written, sink.oldest), (7, 4, Some(Duration::from_secs(10))));
        assert_eq!((sink.system.as_str(), sink.commits_every), ("Redis at redis://shop", minute));
    }
}
