//! Where `generate` and `replay` write to.

use clap::Args;
use millstream::cli::{logs, watch};
use millstream::connectors::files::{FilesSink, FilesSinkOptions};
use millstream::connectors::kafka::{KafkaSink, KafkaSinkOptions};
use millstream::core::raw::RawBatch;
use millstream::prelude::*;
use millstream::runtime::{JobReport, RuntimeOptions, start};

/// Where to.
#[derive(Clone, Debug, Args)]
pub(super) struct TargetArgs {
    /// A file, replaced if it is there (`.gz` is packed), or - for standard output
    #[arg(long, value_name = "FILE", conflicts_with = "topic")]
    pub(super) to: Option<String>,
    /// A Kafka topic, which must exist
    #[arg(long)]
    pub(super) topic: Option<String>,
    /// Kafka's brokers, such as 127.0.0.1:9092
    #[arg(long, default_value = "127.0.0.1:9092", value_name = "HOST:PORT")]
    pub(super) brokers: String,
}

/// Runs a job that writes messages to the target.
///
/// # Errors
/// Those of the source and the target.
pub(super) fn send(env: &Environment, messages: &DataStream<RawBatch>, target: &TargetArgs) -> Result<()> {
    match (&target.topic, &target.to) {
        (Some(topic), _) => to_kafka(messages, &target.brokers, topic),
        (None, Some(path)) => to_file(messages, path),
        (None, None) => {
            return Err(Error::configuration(
                "name a target: --topic TOPIC, --to FILE, or --to - for standard output",
            ));
        }
    }
    run(env).map(|report| logs::err(&report.to_string()))
}

/// Runs a job to its end.
///
/// # Errors
/// Those of its sources and sinks.
pub(super) fn run(env: &Environment) -> Result<JobReport> {
    logs::start();
    let job = start(env.plan()?, RuntimeOptions::default())?;
    job.stop_on_signals()?;
    watch(job)
}

fn to_kafka(messages: &DataStream<RawBatch>, brokers: &str, topic: &str) {
    let options = KafkaSinkOptions {
        brokers: brokers.to_owned(),
        topic: topic.to_owned(),
        ..KafkaSinkOptions::default()
    };
    messages
        .flat_map("messages", |batch: RawBatch| {
            batch.iter().map(|message| message.bytes.to_vec()).collect::<Vec<_>>()
        })
        .sink_to(
            "target",
            KafkaSink::new(options, |bytes: &Vec<u8>, _, message| message.value().extend_from_slice(bytes)),
        );
}

fn to_file(messages: &DataStream<RawBatch>, path: &str) {
    let options = FilesSinkOptions { path: path.to_owned(), ..FilesSinkOptions::default() };
    let lines = FilesSink::lines(options, |batch: &RawBatch, out| {
        for message in batch.iter() {
            out.extend_from_slice(message.bytes);
            out.push(b'\n');
        }
    });
    messages.sink_to("target", lines);
}
