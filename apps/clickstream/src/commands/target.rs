//! Where `generate` and `replay` write to.

use std::sync::{Arc, Once};

use clap::Args;
use millstream::Collected;
use millstream::ErrorKind;
use millstream::RawBatch;
use millstream::cli::{logs, watch};
use millstream::connectors::files::{FilesSink, FilesSinkOptions};
use millstream::connectors::kafka::{KafkaSink, KafkaSinkOptions};
use millstream::prelude::*;
use millstream::runtime::{JobReport, RuntimeOptions, start};

use super::kafka::KafkaArgs;

/// Where to.
#[derive(Clone, Debug, Args)]
pub(super) struct TargetArgs {
    /// File to write to, replaced if it exists and packed if it ends in `.gz`, or - for standard output
    #[arg(long, value_name = "FILE", conflicts_with = "topic")]
    pub(super) to: Option<String>,
    /// Kafka topic to write to; it must exist
    #[arg(long)]
    pub(super) topic: Option<String>,
    #[command(flatten)]
    pub(super) kafka: KafkaArgs,
}

/// Runs a job that writes messages to the target.
///
/// # Errors
/// Returns the errors of the source and the target.
pub(super) fn send(env: &Environment, messages: &DataStream<RawBatch>, target: &TargetArgs) -> Result<()> {
    match (&target.topic, &target.to) {
        (Some(topic), _) => to_kafka(messages, target.kafka.sink(topic))?,
        (None, Some(path)) => to_file(messages, path),
        (None, None) => {
            return Err(Error::configuration(
                "name a target: --topic TOPIC, --to FILE, or --to - for standard output",
            ));
        }
    }
    all_sent(&run(env)?)
}

/// Shows what was sent.
///
/// # Errors
/// When not everything was.
pub(super) fn all_sent(report: &JobReport) -> Result<()> {
    logs::err(&report.to_string());
    match report.dead_letters() {
        0 => Ok(()),
        refused => Err(Error::new(
            ErrorKind::BadRecord,
            format!("{refused} of the messages were not sent, as Kafka refuses them: all others were"),
        )),
    }
}

/// Says of the first message that a topic refuses for ever why it does.
pub(super) fn tell_refused(name: &str, refused: &DataStream<DeadLetter>) {
    let once = Arc::new(Once::new());
    let messages = refused.flat_map(&format!("{name}-refused"), move |letter: DeadLetter| {
        once.call_once(|| logs::err(&format!("a message is not sent: {}", letter.reason)));
        None::<bool>
    });
    messages.sink_to(&format!("{name}-told"), Collected::default());
}

/// Runs a job to its end.
///
/// # Errors
/// Returns the errors of its sources and sinks.
pub(super) fn run(env: &Environment) -> Result<JobReport> {
    logs::start();
    let job = start(env.plan()?, RuntimeOptions::default())?;
    job.stop_on_signals()?;
    watch(job)
}

fn to_kafka(messages: &DataStream<RawBatch>, options: KafkaSinkOptions) -> Result<()> {
    let sink =
        KafkaSink::new(options, |bytes: &Vec<u8>, _, message| message.value().extend_from_slice(bytes));
    sink.find_topic()?;
    let sent = messages
        .flat_map("messages", |batch: RawBatch| {
            batch.iter().map(|message| message.bytes.to_vec()).collect::<Vec<_>>()
        })
        .sink_to("target", sink);
    tell_refused("target", &sent.dead_letters());
    Ok(())
}

fn to_file(messages: &DataStream<RawBatch>, path: &str) {
    let options = FilesSinkOptions { path: path.to_owned(), ..FilesSinkOptions::default() };
    let lines = FilesSink::lines(options, |batch: &RawBatch, out| {
        batch.iter().for_each(|message| push_line(message.bytes, out));
    });
    messages.sink_to("target", lines);
}

/// Appends a message as one line: line feeds within it, which only lay JSON out, become spaces.
pub(super) fn push_line(message: &[u8], out: &mut Vec<u8>) {
    out.extend(message.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }));
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_several_lines_is_one_line_of_a_file() {
        let mut out = Vec::new();
        [&b"{\n \"a\": 1\r\n}"[..], b"{}"].iter().for_each(|message| push_line(message, &mut out));
        assert_eq!(out, b"{  \"a\": 1\r }\n{}\n");
    }
}
