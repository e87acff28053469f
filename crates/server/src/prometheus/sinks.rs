//! What sinks have not written yet, and what was refused why.

use std::fmt::Write;

use millstream_runtime::{JobControl, SinkStatus};
use millstream_stage::metrics::JobMetrics;

use super::{OPERATOR, Text, escape, operator_labels};

type SinkMetric = (&'static str, &'static str, fn(&SinkStatus) -> f64);

const METRICS: [SinkMetric; 2] = [
    (
        "unacknowledgedRecords",
        "Records that a sink has taken and its system, the subject of its troubles, has not acknowledged",
        |sink| sink.unwritten as f64,
    ),
    (
        "oldestUnacknowledgedSeconds",
        "For how long the oldest of those has been in the job; 0 where none waits",
        |sink| sink.oldest.unwrap_or_default().as_secs_f64(),
    ),
];

/// The backlog of every sink, all subtasks together.
pub(super) fn backlog(job: &JobControl, text: &mut Text) {
    write_backlog(&job.plan().name, &job.sinks(), text);
}

fn write_backlog(job: &str, sinks: &[SinkStatus], text: &mut Text) {
    for (name, help, value) in METRICS {
        text.family(OPERATOR, name, "gauge", help);
        for sink in sinks {
            let mut labels = format!("job_name=\"{}\",operator_name=\"{}\"", escape(job), escape(&sink.name));
            if !sink.system.is_empty() {
                let _ = write!(labels, ",system=\"{}\"", escape(&sink.system));
            }
            text.sample(OPERATOR, name, &labels, value(sink));
        }
    }
}

/// Dead letters by stage and reason.
pub(super) fn reasons(job: &JobMetrics, text: &mut Text) {
    let help = "Dead letters by stage and reason, without the values that differ from letter to letter";
    text.family(OPERATOR, "numDeadLetters", "counter", help);
    for (subtask, operator) in job.operators() {
        for count in operator.reasons.all() {
            let (stage, reason) = (escape(&count.stage), escape(&count.reason));
            let labels = operator_labels(job, subtask, &operator);
            let labels = format!("{labels},stage=\"{stage}\",reason=\"{reason}\"");
            text.sample(OPERATOR, "numDeadLetters", &labels, count.letters as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use std::sync::Arc;

    use millstream_stage::dead_letter::DeadLetter;
    use millstream_stage::metrics::SubtaskMetrics;

    use super::*;

    #[test]
    fn a_backlog_has_its_age_and_its_system() {
        let sink = SinkStatus {
            name: "rows-to-redis".into(),
            system: "Redis at redis://shop".into(),
            written: 4,
            unwritten: 7,
            oldest: Some(Duration::from_millis(2500)),
            commits_every: None,
        };
        let idle = SinkStatus {
            name: "csv".into(),
            system: String::new(),
            unwritten: 0,
            oldest: None,
            ..sink.clone()
        };
        let mut text = Text::default();
        write_backlog("clicks", &[sink, idle], &mut text);
        let labels = r#"{job_name="clicks",operator_name="rows-to-redis",system="Redis at redis://shop"}"#;
        let oldest = "flink_taskmanager_job_task_operator_oldestUnacknowledgedSeconds";
        for line in [
            format!("flink_taskmanager_job_task_operator_unacknowledgedRecords{labels} 7"),
            format!("{oldest}{labels} 2.5"),
            format!(r#"{oldest}{{job_name="clicks",operator_name="csv"}} 0"#),
        ] {
            assert!(text.0.lines().any(|found| found == line), "{line} is missing:\n{}", text.0);
        }
    }

    #[test]
    fn dead_letters_are_counted_by_reason() {
        let metrics = JobMetrics {
            job: "clicks".into(),
            subtasks: vec![Arc::new(SubtaskMetrics::new("parse", 0))],
            ..JobMetrics::default()
        };
        let letter =
            |at| DeadLetter::of_value("clicks", "decode", Vec::new(), 0, format!("no JSON at byte {at}"));
        metrics.subtasks[0].operator("parse").reasons.count(&[letter(1), letter(2)]);
        let mut text = Text::default();
        reasons(&metrics, &mut text);
        let line = "stage=\"decode\",reason=\"no JSON at byte …\"} 2";
        assert!(text.0.lines().any(|found| found.ends_with(line)), "{}", text.0);
    }
}
