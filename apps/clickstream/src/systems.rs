//! The systems that the job reads from and writes to, for the command `check`: each is asked as at the start
//! of a job, and nothing is written.

use std::collections::BTreeSet;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use millstream::cli::System;
use millstream::connectors::files::FilesSource;
use millstream::connectors::kafka::{KafkaSink, KafkaSinkOptions, KafkaSource, KafkaSourceOptions};
use millstream::connectors::{elasticsearch, redis, sqlite};
use millstream::runtime::SystemClock;
use millstream::{Error, Result};

use crate::options::{CsvOptions, DeadLetterOptions, Job, Options, SinkOptions, SourceOptions};
use crate::sinks;

/// All of them.
pub fn systems(options: &Options) -> Vec<System> {
    let mut systems = vec![source(&options.source)];
    let tables: BTreeSet<_> = options.jobs.iter().map(|job| table_of(*job)).collect();
    for (number, store) in options.sinks.iter().enumerate() {
        let (store, tables) = (store.clone(), tables.clone());
        systems.push(System::new(format!("sinks.{number}"), move || sink(&store, &tables)));
    }
    let dead_letter = options.dead_letter.clone();
    systems.push(System::new("dead-letter", move || match &dead_letter {
        DeadLetterOptions::Files(file) => can_be_made(Path::new(&file.path)).map(|()| file.path.clone()),
        DeadLetterOptions::Kafka(options) => topic(options, &options.topic),
    }));
    systems
}

/// The metric's table.
fn table_of(job: Job) -> &'static str {
    match job {
        Job::UserClicks => "user_clicks",
        Job::HotItems => "hot_items",
        Job::PvUv => "pv_uv",
    }
}

fn source(source: &SourceOptions) -> System {
    let source = source.clone();
    System::new("source", move || match source {
        SourceOptions::Kafka(options) => kafka(options),
        SourceOptions::Files(files) => {
            let found = FilesSource::new(files.source()).files()?;
            Ok(format!("{} file(s) at {}", found.len(), files.path))
        }
        SourceOptions::Generator(options) => options.validate().map(|()| "generator".to_owned()),
    })
}

fn kafka(options: KafkaSourceOptions) -> Result<String> {
    let (brokers, topics) = (options.brokers.clone(), options.topic.0.join(", "));
    let partitions = KafkaSource::new(options).find_topics()?;
    Ok(format!("Kafka at {brokers}: {topics} with {partitions} partition(s)"))
}

fn sink(store: &SinkOptions, tables: &BTreeSet<&'static str>) -> Result<String> {
    match store {
        SinkOptions::Elasticsearch(options) => {
            let templates = sinks::elasticsearch::templates().filter(|(name, _)| tables.contains(name));
            let found = wait(elasticsearch::check(options, templates, Arc::new(SystemClock::new())))?;
            Ok(format!("{found} at {}", options.hosts.join(", ")))
        }
        SinkOptions::Redis(options) => {
            let samples = sinks::redis::samples().filter(|(name, _)| tables.contains(name));
            let found = wait(redis::check(options, samples.map(|(_, sample)| sample)))?;
            Ok(format!("{found} at {}", options.url))
        }
        SinkOptions::Sqlite(options) => {
            let tables = sinks::sqlite::tables().filter(|table| tables.contains(table.name()));
            let found = sqlite::check(options, &tables.collect::<Vec<_>>())?;
            Ok(format!("SQLite at {}: {found}", options.path.display()))
        }
        SinkOptions::Csv(CsvOptions { dir }) => {
            can_be_made(&dir.join("table.csv")).map(|()| format!("CSV files in {}", dir.display()))
        }
        SinkOptions::Blackhole(_) => Ok("nothing is kept".to_owned()),
        SinkOptions::Kafka(options) => {
            let topics: BTreeSet<_> =
                tables.iter().map(|table| sinks::kafka::topic_of(options, table)).collect();
            let found: Result<Vec<_>> = topics.iter().map(|name| topic(options, name)).collect();
            found.map(|found| found.join("; "))
        }
    }
}

fn topic(options: &KafkaSinkOptions, name: &str) -> Result<String> {
    let options = KafkaSinkOptions { topic: name.to_owned(), ..options.clone() };
    let brokers = options.brokers.clone();
    KafkaSink::new(options, |_: &String, _, _| {}).find_topic()?;
    Ok(format!("Kafka at {brokers}: {name}"))
}

fn wait<T>(asked: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Error::bug("no Tokio runtime can be started").caused_by(error))?.block_on(asked)
}

// A file's directories are made where they are missing.
fn can_be_made(file: &Path) -> Result<()> {
    let wrong = |path: &Path, what: &str| Error::configuration(format!("{} {what}", path.display()));
    if file.is_dir() {
        return Err(wrong(file, "is a directory: name a file"));
    }
    let file = std::path::absolute(file).map_err(|error| wrong(file, "is no path").caused_by(error))?;
    let Some(there) = file.ancestors().skip(1).find(|above| above.exists()) else { return Ok(()) };
    match there.metadata() {
        Ok(found) if !found.is_dir() => Err(wrong(there, "is no directory: name another place")),
        Ok(found) if found.permissions().readonly() => {
            Err(wrong(there, "must not be written: check its rights"))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(wrong(there, "cannot be looked at: check its rights").caused_by(error)),
    }
}
