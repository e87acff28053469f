//! Metrics in Prometheus' text format, with Flink's names and meaning, so that boards and alerts made for
//! Flink go on working.

pub(crate) mod job;
mod sinks;

use std::fmt::Write;

use millstream_stage::metrics::{Ahead, JobMetrics, OperatorMetrics, StateMetrics, SubtaskMetrics};
use millstream_stage::time::MIN_TIME;

const TASK: &str = "flink_taskmanager_job_task";
const OPERATOR: &str = "flink_taskmanager_job_task_operator";

/// All metrics of a job.
pub fn metrics(job: &JobMetrics) -> String {
    let mut text = Text::default();
    for (name, help, value) in TASK_METRICS {
        text.family(TASK, name, "counter", help);
        for subtask in &job.subtasks {
            text.sample(TASK, name, &task_labels(job, subtask), value(subtask));
        }
    }
    for (name, help, value) in QUEUE_METRICS {
        text.family(TASK, name, "gauge", help);
        for subtask in &job.subtasks {
            text.sample(TASK, name, &task_labels(job, subtask), value(subtask));
        }
    }
    for (name, help, value) in OPERATOR_METRICS {
        text.family(OPERATOR, name, "counter", help);
        for (subtask, operator) in job.operators() {
            text.sample(OPERATOR, name, &operator_labels(job, subtask, &operator), value(&operator) as f64);
        }
    }
    watermarks(job, &mut text);
    holders(job, &mut text);
    ahead_of_the_clock(job, &mut text);
    pending(job, &mut text);
    counters(job, &mut text);
    states(job, &mut text);
    latencies(job, &mut text);
    sinks::reasons(job, &mut text);
    text.0
}

type Metric<T, V> = (&'static str, &'static str, fn(&T) -> V);

const TASK_METRICS: [Metric<SubtaskMetrics, f64>; 3] = [
    ("busyTimeMs", "Time spent working, in ms", |task| ms(task.busy_nanos.get())),
    ("idleTimeMs", "Time spent waiting for input, in ms", |task| ms(task.idle_nanos.get())),
    ("backPressuredTimeMs", "Time spent waiting for room downstream, in ms", |task| {
        ms(task.back_pressured_nanos.get())
    }),
];

const QUEUE_METRICS: [Metric<SubtaskMetrics, f64>; 2] = [
    ("buffers_inputQueueSize", "Bytes that wait in the input queues", |task| task.queued_bytes.get() as f64),
    ("buffers_inPoolUsage", "How full the input queues are, 0 to 1", |task| {
        task.queued_bytes.get() as f64 / task.queue_capacity.get().max(1) as f64
    }),
];

const OPERATOR_METRICS: [Metric<OperatorMetrics, u64>; 5] = [
    ("numRecordsIn", "Records that came in", |operator| operator.records_in.get()),
    ("numRecordsOut", "Records that went out", |operator| operator.records_out.get()),
    ("numBytesIn", "Bytes that a source read", |operator| operator.bytes_in.get()),
    ("numBytesOut", "Bytes that a sink wrote", |operator| operator.bytes_out.get()),
    (
        "numLateRecords",
        "Records that came too late for their window (a side output, not dropped)",
        |operator| operator.late.get(),
    ),
];

fn ms(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}

fn watermarks(job: &JobMetrics, text: &mut Text) {
    text.family(
        OPERATOR,
        "currentOutputWatermark",
        "gauge",
        "The last watermark, in ms; `held_by` is the slowest split, or `the clock`",
    );
    for (subtask, operator) in job.operators() {
        let watermark = operator.watermark.get();
        if watermark == MIN_TIME {
            continue;
        }
        let mut labels = operator_labels(job, subtask, &operator);
        let holder = operator.holder();
        if !holder.is_empty() {
            let _ = write!(labels, ",held_by=\"{}\"", escape(&holder));
        }
        text.sample(OPERATOR, "currentOutputWatermark", &labels, watermark as f64);
    }
}

// A family of its own: the holder must be seen even where there has never been a watermark.
fn holders(job: &JobMetrics, text: &mut Text) {
    let help = "1; `held_by` names what holds the watermark back: the slowest split, or `the clock` where events are ahead of the host's";
    text.family(OPERATOR, "watermarkHeldBy", "gauge", help);
    for (subtask, operator) in job.operators() {
        let holder = operator.holder();
        if !holder.is_empty() {
            let labels =
                format!("{},held_by=\"{}\"", operator_labels(job, subtask, &operator), escape(&holder));
            text.sample(OPERATOR, "watermarkHeldBy", &labels, 1.0);
        }
    }
}

type AheadMetric = (&'static str, &'static str, &'static str, fn(&Ahead) -> f64);

const AHEAD_METRICS: [AheadMetric; 2] = [
    (
        "numRecordsAheadOfClock",
        "counter",
        "Records by split whose event time is ahead of the host's clock by more than the watermark's tolerance",
        |ahead| ahead.records as f64,
    ),
    (
        "maxAheadOfClockMs",
        "gauge",
        "How far the furthest of those was ahead of the host's clock, in ms",
        |ahead| ahead.furthest as f64,
    ),
];

fn ahead_of_the_clock(job: &JobMetrics, text: &mut Text) {
    for (name, kind, help, value) in AHEAD_METRICS {
        text.family(OPERATOR, name, kind, help);
        for (subtask, operator) in job.operators() {
            for (split, ahead) in operator.ahead() {
                let labels =
                    format!("{},split=\"{}\"", operator_labels(job, subtask, &operator), escape(&split));
                text.sample(OPERATOR, name, &labels, value(&ahead));
            }
        }
    }
}

fn pending(job: &JobMetrics, text: &mut Text) {
    text.family(
        OPERATOR,
        "pendingRecords",
        "gauge",
        "Records that wait in the source's system, where it says so",
    );
    for (subtask, operator) in job.operators() {
        let pending = operator.pending.get();
        if pending >= 0 {
            text.sample(
                OPERATOR,
                "pendingRecords",
                &operator_labels(job, subtask, &operator),
                pending as f64,
            );
        }
    }
}

fn counters(job: &JobMetrics, text: &mut Text) {
    text.family(
        OPERATOR,
        "counter",
        "counter",
        "Counters of single operators, such as deadLetters and retries",
    );
    for (subtask, operator) in job.operators() {
        for (name, count) in operator.counters() {
            let labels = format!("{},counter=\"{name}\"", operator_labels(job, subtask, &operator));
            text.sample(OPERATOR, "counter", &labels, count as f64);
        }
    }
}

const STATE_METRICS: [(&str, &str, &str, StateValue); 3] = [
    ("state_keys", "gauge", "Keys that have something in a keyed state; an estimate", |state| {
        state.keys.get()
    }),
    ("state_bytes", "gauge", "What a keyed state takes; an estimate", |state| state.bytes.get()),
    ("state_expired", "counter", "Contents of a keyed state found past their time to live", |state| {
        state.expired.get() as i64
    }),
];

type StateValue = fn(&StateMetrics) -> i64;

fn states(job: &JobMetrics, text: &mut Text) {
    for (name, kind, help, value) in STATE_METRICS {
        text.family(OPERATOR, name, kind, help);
        for (subtask, operator) in job.operators() {
            for (state, metrics) in operator.states() {
                let labels = operator_labels(job, subtask, &operator);
                let labels = format!("{labels},state=\"{}\"", escape(&state));
                text.sample(OPERATOR, name, &labels, value(&metrics) as f64);
            }
        }
    }
}

fn latencies(job: &JobMetrics, text: &mut Text) {
    text.family(
        OPERATOR,
        "latency_seconds",
        "summary",
        "From entering the job to being acknowledged by a sink",
    );
    for (subtask, operator) in job.operators() {
        let histogram = operator.latency.histogram();
        if histogram.is_empty() {
            continue;
        }
        let labels = operator_labels(job, subtask, &operator);
        for quantile in [0.5, 0.99, 0.999] {
            let labels = format!("{labels},quantile=\"{quantile}\"");
            let seconds = histogram.value_at_quantile(quantile) as f64 / 1e6;
            text.sample(OPERATOR, "latency_seconds", &labels, seconds);
        }
        text.sample(OPERATOR, "latency_seconds_count", &labels, histogram.len() as f64);
        let sum = histogram.mean() * histogram.len() as f64 / 1e6;
        text.sample(OPERATOR, "latency_seconds_sum", &labels, sum);
    }
}

fn task_labels(job: &JobMetrics, subtask: &SubtaskMetrics) -> String {
    let (job, task) = (escape(&job.job), escape(&subtask.stage));
    format!("job_name=\"{job}\",task_name=\"{task}\",subtask_index=\"{}\"", subtask.subtask)
}

fn operator_labels(job: &JobMetrics, subtask: &SubtaskMetrics, operator: &OperatorMetrics) -> String {
    format!("{},operator_name=\"{}\"", task_labels(job, subtask), escape(&operator.name))
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, scope: &str, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {scope}_{name} {help}\n# TYPE {scope}_{name} {kind}");
    }

    fn sample(&mut self, scope: &str, name: &str, labels: &str, value: f64) {
        let _ = writeln!(self.0, "{scope}_{name}{{{labels}}} {value}");
    }
}
