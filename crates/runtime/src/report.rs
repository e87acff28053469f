//! How a job ended, for people.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use millstream_stage::metrics::OperatorMetrics;
use millstream_stage::plan::OperatorSpec;
use millstream_stage::snapshot::CheckpointId;
use millstream_stage::stage::End;

use crate::status::JobStatus;

/// How a job ended. Its `Display` is a small table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobReport {
    /// The job's name.
    pub job: String,
    /// Whether everything was read or the job was stopped.
    pub end: End,
    /// How it ended, in Flink's words.
    pub status: JobStatus,
    /// How many attempts there were in this process.
    pub attempts: u64,
    /// The number of the last attempt.
    pub epoch: u64,
    /// From start to end.
    pub took: Duration,
    /// What the job has left to its next run, where it was stopped while a sink did not write or commit.
    pub left: Option<UnwrittenState>,
    /// Operator by operator, in the order of the plan, all subtasks together.
    pub operators: Vec<OperatorReport>,
}

/// What a stopped job has left to its next run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnwrittenState {
    /// The checkpoint or savepoint that holds it.
    pub checkpoint: CheckpointId,
    /// By sink.
    pub rows: Vec<UnwrittenRows>,
}

/// What a sink has taken and not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnwrittenRows {
    /// The sink's name.
    pub sink: String,
    /// How many records, as far as that is known.
    pub rows: u64,
}

/// What one operator did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorReport {
    /// The name that the user gave.
    pub name: String,
    /// What it is: `filter`, `window`, ...
    pub kind: String,
    /// Records that came in.
    pub records_in: u64,
    /// Records that went out; of a sink none, since it hands them to a system outside.
    pub records_out: u64,
    /// Whether it is a sink.
    pub is_sink: bool,
    /// Records that came too late for their window.
    pub late: u64,
    /// Counters of its own, such as `deadLetters`.
    pub counters: BTreeMap<&'static str, u64>,
}

impl JobReport {
    /// The part of the operator with this name.
    pub fn operator(&self, name: &str) -> Option<&OperatorReport> {
        self.operators.iter().find(|operator| operator.name == name)
    }

    /// Records that went to a dead letter, anywhere in the job.
    pub fn dead_letters(&self) -> u64 {
        self.operators.iter().map(OperatorReport::dead_letters).sum()
    }
}

impl OperatorReport {
    pub(crate) fn new(spec: &OperatorSpec) -> Self {
        Self {
            name: spec.name.clone(),
            kind: spec.kind.clone(),
            records_in: 0,
            records_out: 0,
            is_sink: spec.sink.is_some(),
            late: 0,
            counters: BTreeMap::new(),
        }
    }

    pub(crate) fn with(mut self, metrics: &OperatorMetrics) -> Self {
        self.records_in += metrics.records_in.get();
        self.records_out += metrics.records_out.get();
        self.late += metrics.late.get();
        for (name, count) in metrics.counters() {
            *self.counters.entry(name).or_default() += count;
        }
        self
    }

    /// Records that it refused.
    pub fn dead_letters(&self) -> u64 {
        self.counters.get("deadLetters").copied().unwrap_or(0)
    }

    fn notes(&self) -> String {
        let late = (self.late > 0).then(|| format!("late {}", grouped(self.late)));
        let counters = self.counters.iter().filter(|(_, count)| **count > 0);
        let counters = counters.map(|(name, count)| format!("{} {}", words(name), grouped(*count)));
        late.into_iter().chain(counters).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for UnwrittenRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rows {
            0 => f.write_str(&self.sink),
            1 => write!(f, "{} has not written 1 record", self.sink),
            rows => write!(f, "{} has not written {} records", self.sink, grouped(rows)),
        }
    }
}

impl JobReport {
    fn write_left(&self, f: &mut fmt::Formatter<'_>, took: &impl fmt::Display) -> fmt::Result {
        let Some(left) = &self.left else { return Ok(()) };
        let rows: Vec<_> = left.rows.iter().map(ToString::to_string).collect();
        writeln!(
            f,
            "{} was stopped after {took} without waiting for a sink any longer ({}). Checkpoint {} holds what is not written; the next run \
             goes on from it and writes it.",
            self.job,
            rows.join(", "),
            left.checkpoint
        )
    }
}

impl fmt::Display for JobReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let took = humantime::format_duration(Duration::from_millis(self.took.as_millis() as u64));
        match self.end {
            _ if self.status == JobStatus::Canceled => writeln!(
                f,
                "{} was cancelled after {took}: what was in the queues is lost; it goes on from its latest checkpoint, where it has one.",
                self.job
            )?,
            End::Finished => writeln!(f, "{} finished after {took}: everything was read.", self.job)?,
            End::Stopped if self.left.is_some() => self.write_left(f, &took)?,
            End::Stopped => writeln!(
                f,
                "{} was stopped after {took}: what was read was processed and flushed; open windows were not written.",
                self.job
            )?,
        }
        let width = self.operators.iter().map(|op| op.name.chars().count()).max().unwrap_or(0).max(8);
        write!(f, "  {:<width$}  {:>14}  {:>14}", "operator", "records in", "records out")?;
        for operator in &self.operators {
            let count_in = grouped(operator.records_in);
            let count_out = if operator.is_sink { String::new() } else { grouped(operator.records_out) };
            let (name, notes) = (&operator.name, operator.notes());
            let line = format!("  {name:<width$}  {count_in:>14}  {count_out:>14}  {notes}");
            write!(f, "\n{}", line.trim_end())?;
        }
        Ok(())
    }
}

// 1234567 as 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

// `deadLetters` as `dead letters`.
fn words(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() {
            text.push(' ');
        }
        text.extend(letter.to_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_a_table() {
        let operator = |name: &str, records_in, records_out| OperatorReport {
            name: name.into(),
            kind: String::new(),
            records_in,
            records_out,
            is_sink: false,
            late: 0,
            counters: BTreeMap::new(),
        };
        let mut parse = operator("parse", 1_234_567, 1_234_560);
        parse.counters.insert("deadLetters", 7);
        let out = OperatorReport { is_sink: true, ..operator("out", 1_234_560, 0) };
        let report = JobReport {
            job: "clicks".into(),
            end: End::Finished,
            status: JobStatus::Finished,
            attempts: 1,
            epoch: 1,
            took: Duration::from_millis(1500),
            left: None,
            operators: vec![operator("in", 0, 1_234_567), parse, out],
        };
        assert_eq!(report.dead_letters(), 7);
        let expected = "clicks finished after 1s 500ms: everything was read.\n  operator      records in     records out\n  \
             in                     0       1,234,567\n  parse          1,234,567       1,234,560  dead letters 7\n  \
             out            1,234,560";
        assert_eq!(report.to_string(), expected);
    }
}
