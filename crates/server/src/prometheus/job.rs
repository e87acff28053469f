//! The metrics of a job as a whole: its checkpoints and restarts.

use std::fmt::Write;

use millstream_protocol::checkpoint_stats::{CheckpointHistory, SubtaskStats};
use millstream_runtime::JobControl;

use super::{Text, escape};

const JOB: &str = "flink_jobmanager_job";
const TASK: &str = "flink_taskmanager_job_task";

/// Everything about a job's checkpoints and restarts.
pub(crate) fn metrics(job: &JobControl) -> String {
    let mut text = Text::default();
    let labels = format!("job_id=\"{}\",job_name=\"{}\"", job.job_id(), escape(&job.plan().name));
    let history = job.checkpoint_stats();
    let restarts = job.attempts().saturating_sub(1);
    text.family(JOB, "numRestarts", "counter", "How often the job was started again in this process");
    text.sample(JOB, "numRestarts", &labels, restarts as f64);
    troubles(job, &labels, &mut text);
    super::sinks::backlog(job, &mut text);
    for (name, kind, help, value) in METRICS {
        if let Some(value) = value(&history) {
            text.family(JOB, name, kind, help);
            text.sample(JOB, name, &labels, value);
        }
    }
    if let Some(latest) = &history.latest_completed {
        for (name, help, value) in PARTS {
            text.family(TASK, name, "gauge", help);
            for part in &latest.subtasks {
                let mut labels = format!("job_name=\"{}\"", escape(&job.plan().name));
                let task = escape(&part.stage);
                let _ = write!(labels, ",task_name=\"{task}\",subtask_index=\"{}\"", part.subtask);
                text.sample(TASK, name, &labels, value(part) as f64);
            }
        }
    }
    text.0
}

fn troubles(job: &JobControl, labels: &str, text: &mut Text) {
    text.family(
        JOB,
        "troubleSeconds",
        "gauge",
        "For how long something outside has been failing, while it fails",
    );
    for trouble in job.troubles() {
        let labels = format!("{labels},subject=\"{}\"", escape(&trouble.subject));
        text.sample(JOB, "troubleSeconds", &labels, trouble.lasts.as_secs_f64());
    }
}

type Figure = fn(&CheckpointHistory) -> Option<f64>;

const METRICS: [(&str, &str, &str, Figure); 11] = [
    ("totalNumberOfCheckpoints", "counter", "Checkpoints and savepoints that were triggered", |h| {
        Some(h.counts.total as f64)
    }),
    ("numberOfInProgressCheckpoints", "gauge", "Those under way", |h| Some(h.counts.in_progress as f64)),
    ("numberOfCompletedCheckpoints", "counter", "Those that are complete", |h| {
        Some(h.counts.completed as f64)
    }),
    ("numberOfFailedCheckpoints", "counter", "Those that were given up", |h| Some(h.counts.failed as f64)),
    ("lastCheckpointDuration", "gauge", "From trigger to completion of the last checkpoint, in ms", |h| {
        Some(h.latest_completed.as_ref()?.end_to_end? as f64)
    }),
    ("lastCheckpointSize", "gauge", "Bytes that were written for the last checkpoint alone", |h| {
        Some(h.latest_completed.as_ref()?.bytes_written as f64)
    }),
    (
        "lastCheckpointFullSize",
        "gauge",
        "Bytes of the last checkpoint, with what it shares with others",
        |h| Some(h.latest_completed.as_ref()?.bytes as f64),
    ),
    ("lastCompletedCheckpointId", "gauge", "The number of the last checkpoint", |h| {
        Some(h.latest_completed.as_ref()?.id as f64)
    }),
    ("lastCheckpointTimestamp", "gauge", "When the last complete checkpoint was triggered, epoch ms", |h| {
        Some(h.latest_completed.as_ref()?.trigger_time as f64)
    }),
    (
        "lastCheckpointRestoreTimestamp",
        "gauge",
        "When the job last went on from a checkpoint, epoch ms",
        |h| Some(h.latest_restored.as_ref()?.time as f64),
    ),
    ("numberOfRestoredCheckpoints", "counter", "How often the job went on from a checkpoint", |h| {
        Some(h.counts.restored as f64)
    }),
];

type PartFigure = fn(&SubtaskStats) -> u64;

const PARTS: [(&str, &str, PartFigure); 4] = [
    (
        "checkpointAlignmentTimeMs",
        "From the first barrier of the last checkpoint to the last one, in ms",
        |p| p.alignment,
    ),
    ("checkpointSyncTimeMs", "How long the subtask stood still for the last checkpoint, in ms", |p| p.sync),
    ("checkpointAsyncTimeMs", "How long its part took to be stored while it went on, in ms", |p| {
        p.asynchronous
    }),
    ("checkpointSizeBytes", "Bytes of its part of the last checkpoint", |p| p.bytes),
];
