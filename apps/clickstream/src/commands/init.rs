//! The command `init`: writes a configuration with comments to begin with.

mod parts;

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use millstream::cli::{logs, parse, validate};
use millstream::{Error, Result};

use crate::app::Shop;
use crate::options::Options;

/// The options of `init`.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = "\
Examples:
  clickstream init                                          Kafka to SQLite
  clickstream init --source files --path 'logs/*.jsonl' --sink csv
  clickstream init --brokers kafka-1:9092 --topic clicks --sink elasticsearch --sink redis -o job.yaml

Then look at the file, try the connections with `clickstream check --config FILE`, and start with `clickstream run --config FILE`.")]
pub struct InitArgs {
    /// The file to write
    #[arg(short, long, default_value = "clickstream.yaml", value_name = "FILE")]
    output: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
    /// The job's name
    #[arg(long, default_value = "click-stream", value_name = "NAME")]
    name: String,
    /// Where events come from
    #[arg(long, value_enum, default_value = "kafka", value_name = "KIND")]
    source: SourceKind,
    /// A store for the results (may be repeated); sqlite by default
    #[arg(long, value_enum, value_name = "KIND")]
    sink: Vec<SinkKind>,
    /// Kafka's brokers, for the source and for results
    #[arg(long, default_value = "127.0.0.1:9092", value_name = "HOST:PORT")]
    brokers: String,
    /// With --source kafka: the topic of the events
    #[arg(long, default_value = "user-clicks")]
    topic: String,
    /// With --source files: a file, a directory, or a pattern
    #[arg(long, default_value = "events.jsonl")]
    path: String,
    /// With --source generator: events per second
    #[arg(long, default_value_t = 1000, value_name = "N")]
    rate: u32,
    /// With --sink elasticsearch: the cluster
    #[arg(long, default_value = "http://127.0.0.1:9200", value_name = "URL")]
    elasticsearch_url: String,
    /// With --sink redis: the server
    #[arg(long, default_value = "redis://127.0.0.1:6379", value_name = "URL")]
    redis_url: String,
    /// With --sink sqlite: the database file
    #[arg(long, default_value = "clicks.db", value_name = "FILE")]
    sqlite_path: String,
    /// With --sink csv: the directory of the files
    #[arg(long, default_value = "results", value_name = "DIR")]
    csv_dir: String,
    /// With --sink kafka: the topic of the results; {table} stands for the table's name
    #[arg(long, default_value = "results", value_name = "TOPIC")]
    results_topic: String,
    /// Where checkpoints are kept, such as s3://bucket/clicks; below job.dir without it
    #[arg(long, value_name = "URL")]
    checkpoints: Option<String>,
    /// The port of the live page and of /metrics
    #[arg(long, default_value_t = 8081, value_name = "P")]
    port: u16,
}

impl InitArgs {
    // The address of Redis is the one that may contain a login.
    fn has_login(&self) -> bool {
        self.sink.contains(&SinkKind::Redis) && self.redis_url.contains('@')
    }
}

/// The mode of a file that holds a password.
const OWNER_ONLY: u32 = 0o600;

/// A kind of source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SourceKind {
    /// JSON events from a Kafka topic
    Kafka,
    /// Events from files, plain or gzip
    Files,
    /// Made-up shop traffic
    Generator,
}

/// A kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SinkKind {
    /// Elasticsearch or OpenSearch, one index per table
    Elasticsearch,
    /// Redis, one key per row
    Redis,
    /// A SQLite file, one table per table
    Sqlite,
    /// CSV files, one per table
    Csv,
    /// A Kafka topic, one JSON message per row
    Kafka,
}

/// Writes the file.
///
/// # Errors
/// A file that is there already or cannot be written, values that cannot be used.
pub(super) fn init(args: &InitArgs) -> Result<()> {
    logs::start();
    let text = configuration(args);
    // What somebody typed may be no topic, no URL, no name, or the job would read what it writes: then no file
    // is left behind.
    accept(&text).map_err(|error| error.in_context("the configuration would be refused"))?;
    write(args, &text)?;
    let file = args.output.display();
    logs::err(&format!(
        "{file} is written; next: clickstream check --config {file}, then clickstream run --config {file}"
    ));
    Ok(())
}

fn accept(text: &str) -> Result<()> {
    validate(&Shop::default(), &parse::<Options>(text, &[])?)
}

fn write(args: &InitArgs, text: &str) -> Result<()> {
    let file = args.output.display();
    let mut options = OpenOptions::new();
    options.write(true);
    if args.has_login() {
        options.mode(OWNER_ONLY);
    }
    if args.force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let written = options.open(&args.output).and_then(|mut out| out.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Error::configuration(format!(
            "{file} is there already: give another name with --output, or replace it with --force"
        )),
        _ => Error::configuration(format!("{file} cannot be written")).caused_by(error),
    })
}

/// The text of the file.
fn configuration(args: &InitArgs) -> String {
    let default = [SinkKind::Sqlite];
    let sinks = if args.sink.is_empty() { &default[..] } else { &args.sink };
    let sinks: String = sinks.iter().map(|sink| parts::sink(*sink, args)).collect();
    [
        parts::head(args),
        parts::source(args),
        parts::JOBS.to_owned(),
        format!("{}{sinks}", parts::SINKS),
        parts::DEAD_LETTER.to_owned(),
        parts::checkpoints(args),
        parts::page(args),
    ]
    .join("\n")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: InitArgs,
    }

    fn text(line: &[&str]) -> String {
        configuration(&Line::try_parse_from([&["init"], line].concat()).unwrap().args)
    }

    /// All sets of sinks, with each source.
    fn combinations() -> impl Iterator<Item = Vec<&'static str>> {
        const SINKS: [&str; 5] = ["elasticsearch", "redis", "sqlite", "csv", "kafka"];
        ["kafka", "files", "generator"].into_iter().flat_map(|source| {
            (0..1 << SINKS.len()).map(move |set: u32| {
                let chosen = SINKS.iter().enumerate().filter(move |(bit, _)| set & 1 << bit != 0);
                ["--source", source]
                    .into_iter()
                    .chain(chosen.flat_map(|(_, sink)| ["--sink", *sink]))
                    .collect()
            })
        })
    }

    /// The file with its examples in force: a comment that begins with a key at once is one.
    fn with_examples(text: &str) -> String {
        let shown = |line: &str| {
            let indent = line.len() - line.trim_start().len();
            match line[indent..].strip_prefix('#') {
                Some(example) if example.starts_with(|c: char| c.is_ascii_lowercase()) => {
                    format!("{}{example}\n", &line[..indent])
                }
                _ => format!("{line}\n"),
            }
        };
        text.lines().map(shown).collect()
    }

    #[test]
    fn every_combination_is_accepted_with_its_examples() {
        for line in combinations() {
            let text = text(&line);
            accept(&text).unwrap_or_else(|error| panic!("{line:?}: {}\n{text}", error.chain()));
            let config = with_examples(&text);
            parse::<Options>(&config, &[])
                .unwrap_or_else(|error| panic!("{line:?}: {}\n{config}", error.chain()));
            assert_ne!(text, with_examples(&text), "the file shows what else there is");
        }
    }

    #[test]
    fn what_was_typed_arrives() {
        let config = text(&[
            "--name",
            "a: b",
            "--brokers",
            "h1:1,h2:2",
            "--topic",
            "clicks",
            "--sink",
            "redis",
            "--redis-url",
            "redis://h:1/2",
            "--port",
            "9",
            "--checkpoints",
            "s3://b/c",
        ]);
        let config = parse::<Options>(&config, &[]).unwrap();
        assert_eq!((config.engine.name.as_str(), config.engine.port), ("a: b", Some(9)));
        let crate::options::SourceOptions::Kafka(source) = &config.app.source else {
            panic!("another source")
        };
        assert_eq!(
            (source.brokers.as_str(), source.topic.0.as_slice()),
            ("h1:1,h2:2", &["clicks".to_owned()][..])
        );
        assert_eq!(config.app.sinks.len(), 1);
    }

    #[test]
    fn what_a_run_would_refuse_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.yaml");
        let topic = ["--topic", "results", "--sink", "kafka"];
        for (line, told) in [
            (
                &["--sink", "elasticsearch", "--elasticsearch-url", "es:9200"][..],
                "host \"es:9200\" is no URL",
            ),
            (
                &["--sink", "elasticsearch", "--elasticsearch-url", "http://me:geheim@es:9200"],
                "username and password",
            ),
            (&["--sink", "redis", "--redis-url", "me:geheim@redis:6379"], "redis://HOST:PORT"),
            (&["--brokers", ""], "brokers"),
            (&["--source", "files", "--path", "*.jsonl"], "the job would take its own output for input"),
            (&topic, "the job would take its own output for input"),
            (&["--checkpoints", "ftp://host/clicks"], "unknown scheme"),
            (&["--checkpoints", "s3://me:geheim@bucket/clicks"], "contains a login"),
        ] {
            let line = [&["init", "-o", file.to_str().unwrap()], line].concat();
            let refused = init(&Line::try_parse_from(&line).unwrap().args).unwrap_err().chain();
            assert!(refused.contains(told) && !refused.contains("geheim"), "{line:?}: {refused}");
            assert!(!file.exists(), "{line:?}");
        }
    }

    #[test]
    fn a_file_with_a_login_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mode = |name: &str, url: &str| {
            let file = dir.path().join(name);
            let line = ["init", "--sink", "redis", "--redis-url", url, "-o", file.to_str().unwrap()];
            init(&Line::try_parse_from(line).unwrap().args).unwrap();
            file.metadata().unwrap().permissions().mode() & 0o777
        };
        assert_eq!(mode("with.yaml", "redis://me:secret@redis:6379"), OWNER_ONLY);
        assert_eq!(mode("without.yaml", "redis://redis:6379") & 0o600, OWNER_ONLY);
    }

    #[test]
    fn a_file_that_is_there_stays_without_force() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.yaml");
        let line = |more: &[&str]| {
            let line = ["init", "-o", file.to_str().unwrap()].iter().chain(more).copied().collect::<Vec<_>>();
            Line::try_parse_from(line).unwrap().args
        };
        write(&line(&[]), "first").unwrap();
        let refused = write(&line(&[]), "second").unwrap_err();
        assert!(refused.to_string().contains("--force"), "{refused}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "first");
        write(&line(&["--force"]), "third").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "third");
    }
}
