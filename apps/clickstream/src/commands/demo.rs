//! `clickstream demo`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use millstream::cli::{Config, ConfigOrigin, EngineOptions, logs, run};
use millstream::connectors::generator::{Field, GeneratorOptions};
use millstream::connectors::sqlite::SqliteOptions;
use millstream::options::parse_typed_duration;
use millstream::runtime::{SystemClock, epoch};
use millstream::time::{Clock, Time, Zone};
use millstream::{Error, Result};

use crate::app::Shop;
use crate::event::EventOptions;
use crate::options::{
    Behaviors, DeadLetterFile, DeadLetterOptions, HotItemsOptions, Job, Options, PvUvOptions, SinkOptions,
    SourceOptions, WatermarkOptions,
};

/// Time-lapse traffic begins this long ago, so that it does not reach the present while somebody watches.
const AGO: Time = 30 * 24 * 60 * 60 * 1000;

/// What is shown behind the options.
const EXAMPLES: &str = "\
Examples:
  clickstream demo                         then open http://127.0.0.1:8081/; Ctrl-C stops it
  clickstream demo --for 60s --rate 20000
  clickstream demo --port 0 --dir /tmp/demo
  sqlite3 clickstream-demo/clicks.db 'select * from hot_items order by window_end desc, rank limit 10'";

/// The options of the demo.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DemoArgs {
    /// Events per second
    #[arg(long, default_value_t = 5000.0, value_name = "N")]
    rate: f64,
    /// Stop after this time, such as 60s; without it, Ctrl-C stops the demo
    #[arg(long = "for", value_parser = parse_typed_duration, value_name = "TIME")]
    duration: Option<Duration>,
    /// Port of the live page on 127.0.0.1; 0 takes a free one, and the program prints which
    #[arg(long, default_value_t = 8081, value_name = "P")]
    port: u16,
    /// How many seconds of the shop's time pass in one second, 1 to 3600; with 1 the first hot items come
    /// after some minutes
    #[arg(long, default_value_t = 60.0, value_name = "FACTOR")]
    speed: f64,
    /// Directory for results and dead letters; those of an earlier demo in it are replaced
    #[arg(long, default_value = "clickstream-demo", value_name = "DIR")]
    dir: PathBuf,
}

pub(super) fn demo(args: &DemoArgs) -> Result<()> {
    logs::start();
    if !(args.speed >= 1.0 && args.speed <= 3600.0) {
        return Err(Error::configuration("--speed must be between 1 and 3600"));
    }
    // Before anything is removed.
    traffic(args).validate()?;
    let database = prepare(args)?;
    let engine = EngineOptions {
        name: "clickstream-demo".to_owned(),
        parallelism: 2,
        dir: Some(args.dir.join("job")),
        port: Some(args.port),
        ..EngineOptions::default()
    };
    logs::err(&format!("results: {} (try: sqlite3 {0} 'select * from hot_items')", database.display()));
    run(&Shop::default(), &Config { engine, app: options(args, database), origin: ConfigOrigin::default() })
}

fn prepare(args: &DemoArgs) -> Result<PathBuf> {
    let database = args.dir.join("clicks.db");
    if let Some(pid) = epoch::holder(&args.dir.join("job")) {
        return Err(Error::configuration(format!(
            "a demo runs in {} (process {pid}): stop it, or give this one another --dir and --port",
            args.dir.display()
        )));
    }
    let failed =
        |error| Error::configuration(format!("{} cannot be used", args.dir.display())).caused_by(error);
    std::fs::create_dir_all(&args.dir).map_err(failed)?;
    for old in ["clicks.db", "clicks.db-wal", "clicks.db-shm", "dead-letter.jsonl"] {
        match std::fs::remove_file(args.dir.join(old)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    Ok(database)
}

fn options(args: &DemoArgs, database: PathBuf) -> Options {
    Options {
        source: SourceOptions::Generator(traffic(args)),
        event: EventOptions::default(),
        watermark: WatermarkOptions::default(),
        jobs: vec![Job::UserClicks, Job::HotItems, Job::PvUv],
        behaviors: Behaviors::default(),
        time_zone: Zone::utc(),
        pv_uv: PvUvOptions::default(),
        hot_items: HotItemsOptions { top: 10 },
        sinks: vec![SinkOptions::Sqlite(SqliteOptions::at(database))],
        dead_letter: DeadLetterOptions::Files(DeadLetterFile {
            path: args.dir.join("dead-letter.jsonl").to_string_lossy().into_owned(),
        }),
    }
}

// A small shop, so that a minute of it shows something: out of order, now and then twice, now and then
// broken.
fn traffic(args: &DemoArgs) -> GeneratorOptions {
    let now = SystemClock::new().now();
    let lapse = args.speed > 1.0;
    GeneratorOptions {
        rate: Some(args.rate),
        event_rate: Some(args.rate / args.speed),
        start: Some(if lapse { now - AGO } else { now }),
        // `for` counts the watcher's time.
        count: args.duration.map(|duration| (duration.as_secs_f64() * args.rate).ceil() as u64),
        fields: vec![Field::EventId, Field::Page, Field::Device, Field::Region, Field::SessionId],
        users: 5_000,
        items: 3_000,
        categories: 120,
        disorder: Duration::from_secs(3),
        duplicates: 0.001,
        broken: 0.0005,
        ..GeneratorOptions::default()
    }
}
