//! The command `forget`.

use std::sync::Arc;

use clap::Args;
use millstream::cli::remote::Remote;
use millstream::cli::{Config, ConfigArgs, load, logs};
use millstream::connectors::{elasticsearch, redis, sqlite};
use millstream::runtime::{SystemClock, epoch};
use millstream::{Error, Result};

use crate::options::{Job, Options, SinkOptions};
use crate::parts::store_name;

/// The options of `forget`.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = "\
A job that was given a new directory or bucket counts its attempts anew. Its writes then look older than \
the results that are there, and are refused. `forget` deletes those results from the stores that the \
configuration names, so that the job can count everything again:

  clickstream forget --config job.yaml --dry-run    counts, and deletes nothing
  clickstream forget --config job.yaml --yes        deletes

Deleted are, for each metric under `jobs`:
  elasticsearch   the index (index-prefix included), with everything in it
  redis           the keys of the metric that carry a version, and their :version keys; other keys stay
  sqlite          the rows of the table, and what the file knows of this job's attempts

Checkpoints, savepoints, Kafka topics, CSV files and dead letters stay. The job must not run: stop it first (`clickstream stop`).")]
pub struct ForgetArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Only this store, such as elasticsearch, redis, or redis-2 for the second one of its kind (may be
    /// repeated)
    #[arg(long, value_name = "NAME")]
    sink: Vec<String>,
    /// Count the rows that would be deleted, and delete nothing
    #[arg(long)]
    dry_run: bool,
    /// Delete; without it and without --dry-run, nothing is done
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
}

/// Deletes the results of a job, or counts them.
///
/// # Errors
/// A job that runs, a store that cannot be reached or refuses.
pub(super) fn forget(args: &ForgetArgs) -> Result<()> {
    logs::start();
    let config: Config<Options> = load(&args.config.config, &args.config.set)?;
    if !args.dry_run && !args.yes {
        return Err(Error::configuration(
            "forget deletes results for good: look with --dry-run what it would delete, then give --yes",
        ));
    }
    let stores = chosen(&config.app.sinks, &args.sink)?;
    refuse_while_running(&config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::bug("no Tokio runtime can be started").caused_by(error))?;
    let mut all = 0;
    for number in stores {
        let name = store_name(&config.app.sinks, number);
        for (table, key) in config.app.jobs.iter().map(|job| names(*job)) {
            let sink = format!("{table}-to-{name}");
            let store = &config.app.sinks[number];
            let rows = runtime.block_on(forget_in(store, key, &config.engine.name, &sink, args.dry_run));
            let Some(rows) = rows.map_err(|error| error.in_context(&sink))? else {
                logs::out(&format!("{name}: stays; delete it yourself where it is in the way\n"))?;
                break;
            };
            all += rows;
            logs::out(&format!("{name}: {key}: {rows} rows\n"))?;
        }
    }
    let done = if args.dry_run { "would be deleted; nothing was" } else { "deleted" };
    logs::out(&format!("{all} rows {done}\n"))
}

/// The name of the metric in operators, and in stores.
fn names(job: Job) -> (&'static str, &'static str) {
    match job {
        Job::UserClicks => ("user-clicks", "user_clicks"),
        Job::HotItems => ("hot-items", "hot_items"),
        Job::PvUv => ("pv-uv", "pv_uv"),
    }
}

// None for a store that has no versions, and so nothing that could be in the way.
async fn forget_in(
    store: &SinkOptions,
    table: &str,
    job: &str,
    sink: &str,
    dry_run: bool,
) -> Result<Option<u64>> {
    let rows = match store {
        SinkOptions::Elasticsearch(options) => {
            elasticsearch::forget(options, table, dry_run, Arc::new(SystemClock::new())).await?
        }
        SinkOptions::Redis(options) => redis::forget(options, &format!("{table}:"), dry_run).await?,
        SinkOptions::Sqlite(options) => sqlite::forget(options, table, job, sink, dry_run)?,
        SinkOptions::Csv(_) | SinkOptions::Kafka(_) | SinkOptions::Blackhole(_) => return Ok(None),
    };
    Ok(Some(rows))
}

fn chosen(stores: &[SinkOptions], wanted: &[String]) -> Result<Vec<usize>> {
    let names: Vec<_> = (0..stores.len()).map(|number| store_name(stores, number)).collect();
    if let Some(unknown) = wanted.iter().find(|wanted| !names.contains(wanted)) {
        let message = format!("--sink {unknown} is none of the configured ones: {}", names.join(", "));
        return Err(Error::configuration(message));
    }
    let is_wanted = |number: &usize| wanted.is_empty() || wanted.contains(&names[*number]);
    Ok((0..stores.len()).filter(is_wanted).collect())
}

// As far as it can be known: by the page that it serves, and by the process that counted the last attempt in
// the job's directory.
fn refuse_while_running(config: &Config<Options>) -> Result<()> {
    let engine = &config.engine;
    let refused = |who: String| {
        Err(Error::configuration(format!(
            "the job {} runs ({who}): stop it first (clickstream stop)",
            engine.name
        )))
    };
    if let Some(pid) = epoch::holder(&engine.job_dir()) {
        return refused(format!("process {pid}"));
    }
    let Some(port) = engine.port.filter(|port| *port != 0) else {
        return Ok(());
    };
    let url = format!("http://{}:{port}", engine.bind_address);
    let Ok(remote) = Remote::to(&url, engine.password()?.as_ref()) else {
        return Ok(());
    };
    match remote.overview() {
        Ok(job) if job["name"] == engine.name.as_str() => refused(format!("it answers at {url}")),
        _ => Ok(()),
    }
}
