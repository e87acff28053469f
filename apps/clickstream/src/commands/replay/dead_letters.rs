//! Sends the messages behind dead letters once more. They are read twice: to count, and to send.

use std::sync::Arc;

use millstream::Collected;
use millstream::RawBatch;
use millstream::cli::logs;
use millstream::connectors::files::{FilesSink, FilesSinkOptions, FilesSource, FilesSourceOptions};
use millstream::connectors::kafka::{Bounded, KafkaSink, KafkaSinkOptions, KafkaSource, KafkaSourceOptions};
use millstream::prelude::*;
use parking_lot::Mutex;

use super::letters::{Goal, Summary, judge};
use super::{ReplayArgs, files};
use crate::commands::target::{all_sent, push_line, run, tell_refused};

/// A message on its way back.
#[derive(Clone, Debug, Record)]
struct Again {
    /// Empty where it goes to the target of the command line.
    topic: String,
    partition: Option<i32>,
    #[record(bytes)]
    bytes: Vec<u8>,
}

type SharedSummary = Arc<Mutex<Summary>>;

pub(super) fn replay(args: &ReplayArgs) -> Result<()> {
    if args.from_topic.is_some() && args.from_topic == args.target.topic {
        return Err(Error::configuration(
            "--from-topic and --topic are the same: the letters would be read for ever",
        ));
    }
    let summary = count(args)?;
    logs::err(&summary.lock().to_string());
    if let Some(stage) = &args.stage {
        summary.lock().expect_stage(stage)?;
    }
    if args.dry_run || summary.lock().count() == 0 {
        logs::err("nothing was sent");
        return Ok(());
    }
    send(args, &summary)
}

fn count(args: &ReplayArgs) -> Result<SharedSummary> {
    let (env, summary) =
        (Environment::new("dead-letters-count").with_parallelism(1), SharedSummary::default());
    let (noted, stage, goal) = (Arc::clone(&summary), args.stage.clone(), goal(args));
    let letters = letters(&env, args).flat_map("count", move |batch| {
        let mut summary = noted.lock();
        batch.iter().for_each(|line| summary.note(judge(line.bytes, stage.as_deref(), goal.as_ref())));
        None::<bool>
    });
    letters.sink_to("counted", Collected::default());
    run(&env)?;
    Ok(summary)
}

fn send(args: &ReplayArgs, summary: &SharedSummary) -> Result<()> {
    let env = Environment::new("dead-letters-replay").with_parallelism(1);
    let topics: Vec<_> = summary.lock().topics().map(str::to_owned).collect();
    let (wanted, stage, goal) = (Arc::clone(summary), args.stage.clone(), goal(args));
    let again = letters(&env, args).flat_map("again", move |batch| {
        let mut summary = wanted.lock();
        let sent = batch.iter().filter_map(|line| {
            let (stored, _) = judge(line.bytes, stage.as_deref(), goal.as_ref()).ok()?;
            let goal = summary.take(&stored.letter.id)?;
            let (topic, partition) = match goal {
                Goal::Topic(topic, partition) => (topic, partition),
                Goal::Target => (String::new(), None),
            };
            Some(Again { topic, partition, bytes: stored.letter.raw })
        });
        sent.collect::<Vec<_>>()
    });
    if let Some(path) = &args.target.to {
        to_file(&again, path);
    }
    for topic in topics {
        to_topic(&again, args.target.kafka.sink(&topic))?;
    }
    all_sent(&run(&env)?)
}

fn goal(args: &ReplayArgs) -> Option<Goal> {
    let topic = args.target.topic.clone().map(|topic| Goal::Topic(topic, None));
    topic.or_else(|| args.target.to.as_ref().map(|_| Goal::Target))
}

fn letters(env: &Environment, args: &ReplayArgs) -> DataStream<RawBatch> {
    match &args.from_topic {
        Some(topic) => env.source(
            "letters",
            KafkaSource::new(KafkaSourceOptions {
                bounded: Some(Bounded::Latest),
                ..args.target.kafka.source(topic)
            }),
        ),
        None => {
            let files = args.file.as_deref().map(files).unwrap_or_default();
            // A letter is larger than its message, whose line may have been as long as a line may be.
            env.source("letters", FilesSource::new(FilesSourceOptions { max_line_size: 1 << 30, ..files }))
        }
    }
}

fn to_file(again: &DataStream<Again>, path: &str) {
    let options = FilesSinkOptions { path: path.to_owned(), ..FilesSinkOptions::default() };
    let lines = FilesSink::lines(options, |message: &Again, out| push_line(&message.bytes, out));
    again.sink_to("target", lines);
}

fn to_topic(again: &DataStream<Again>, options: KafkaSinkOptions) -> Result<()> {
    let topic = options.topic.clone();
    let sink = KafkaSink::new(options, |again: &Again, _, message| {
        message.value().extend_from_slice(&again.bytes);
        if let Some(partition) = again.partition {
            message.to_partition(partition);
        }
    });
    sink.find_topic()?;
    let (of, to) = (format!("of-{topic}"), format!("to-{topic}"));
    let sent = again.filter(&of, move |again| again.topic == topic).sink_to(&to, sink);
    tell_refused(&to, &sent.dead_letters());
    Ok(())
}
