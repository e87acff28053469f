//! Checkpoints: how many, how long, how large, and why one failed.

use axum::Json;
use axum::extract::{Path, State};
use millstream_protocol::checkpoint_stats::{
    CheckpointHistory, CheckpointKind, CheckpointStats, CheckpointStatus, RestoredStats, SubtaskStats,
};
use serde_json::{Map, Value, json};

use super::{Rest, RestResult};

pub(super) async fn checkpoints(State(rest): State<Rest>, Path(id): Path<String>) -> RestResult {
    let history = rest.job(&id)?.checkpoint_stats();
    let counts = &history.counts;
    Ok(Json(json!({
        "counts": {
            "restored": counts.restored,
            "total": counts.total,
            "in_progress": counts.in_progress,
            "completed": counts.completed,
            "failed": counts.failed,
        },
        "summary": summary(&history),
        "latest": {
            "completed": history.latest_completed.as_ref().map(checkpoint),
            "savepoint": history.latest_savepoint.as_ref().map(checkpoint),
            "failed": history.latest_failed.as_ref().map(checkpoint),
            "restored": history.latest_restored.as_ref().map(restored),
        },
        "history": history.history.iter().map(checkpoint).collect::<Vec<_>>(),
    })))
}

fn checkpoint(stats: &CheckpointStats) -> Value {
    let class = match stats.status {
        CheckpointStatus::InProgress => "in_progress",
        CheckpointStatus::Completed => "completed",
        CheckpointStatus::Failed => "failed",
    };
    let savepoint = stats.kind == CheckpointKind::Savepoint;
    json!({
        "className": class,
        "id": stats.id,
        "status": stats.status,
        "is_savepoint": savepoint,
        "savepointFormat": savepoint.then_some("CANONICAL"),
        "checkpoint_type": if savepoint { "SAVEPOINT" } else { "CHECKPOINT" },
        "trigger_timestamp": stats.trigger_time,
        "latest_ack_timestamp": stats.ack_time.unwrap_or(-1),
        "checkpointed_size": stats.bytes_written,
        "state_size": stats.bytes,
        "end_to_end_duration": stats.end_to_end,
        "alignment_buffered": 0,
        "processed_data": 0,
        "persisted_data": 0,
        "num_subtasks": stats.subtasks.len(),
        "num_acknowledged_subtasks": stats.subtasks.len(),
        "tasks": tasks(&stats.subtasks),
        "external_path": stats.url,
        "discarded": stats.discarded,
        "failure_message": stats.failure,
        "failure_timestamp": stats.failure.is_some().then_some(stats.trigger_time),
        "epoch": stats.epoch,
    })
}

// By subtask: how long it held the barrier, and how long its part took to write.
fn tasks(subtasks: &[SubtaskStats]) -> Value {
    let mut stages = Map::new();
    for subtask in subtasks {
        let shown = json!({
            "index": subtask.subtask,
            "alignment_duration": subtask.alignment,
            "sync_duration": subtask.sync,
            "async_duration": subtask.asynchronous,
            "state_size": subtask.bytes,
        });
        let stage = stages.entry(&subtask.stage).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(all) = stage {
            all.push(shown);
        }
    }
    Value::Object(stages)
}

fn restored(stats: &RestoredStats) -> Value {
    json!({
        "id": stats.id,
        "restore_timestamp": stats.time,
        "is_savepoint": stats.savepoint,
        "external_path": stats.url,
    })
}

fn summary(history: &CheckpointHistory) -> Value {
    let completed = || history.history.iter().filter(|stats| stats.status == CheckpointStatus::Completed);
    json!({
        "checkpointed_size": spread(completed().map(|stats| stats.bytes_written).collect()),
        "state_size": spread(completed().map(|stats| stats.bytes).collect()),
        "end_to_end_duration": spread(completed().filter_map(|stats| stats.end_to_end).collect()),
    })
}

// Minimum, maximum, average and quantiles over the checkpoints in the history.
fn spread(mut values: Vec<u64>) -> Value {
    values.sort_unstable();
    let Some(last) = values.len().checked_sub(1) else {
        return json!({ "min": 0, "max": 0, "avg": 0 });
    };
    let at = |quantile: f64| values[(last as f64 * quantile).round() as usize];
    json!({
        "min": values[0],
        "max": values[last],
        "avg": values.iter().sum::<u64>() / values.len() as u64,
        "p50": at(0.5), "p90": at(0.9), "p95": at(0.95), "p99": at(0.99), "p999": at(0.999),
    })
}
