//! `cargo xtask services`: servers that keep running, to try things out on.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum};
use millstream_testkit::group::Group;
use millstream_testkit::server::{Home, Server};
use millstream_testkit::wait::Stopwatch;
use millstream_testkit::{Elasticsearch, Flink, Hdfs, Kafka, MinIo, Prometheus, Redis, ZooKeeper, cache};
use serde::{Deserialize, Serialize};

use crate::console;

/// The topic of the documentation's examples, and its partitions.
const TOPIC: (&str, i32) = ("user-clicks", 4);

const GRACE: Duration = Duration::from_secs(30);

/// What to do with the servers.
#[derive(Debug, Subcommand)]
pub(crate) enum ServicesCommand {
    /// Fetch, start and await servers: Kafka (with a topic `user-clicks`), Elasticsearch and Redis if none is
    /// named
    Up(UpArguments),
    /// Stop servers: all if none is named
    Down(DownArguments),
    /// Show address, pid and memory of each server
    Status(StatusArguments),
}

/// Which servers to start, and where.
#[derive(Debug, Args)]
pub(crate) struct UpArguments {
    names: Vec<Service>,
    /// Listen on the ports that everybody knows (9092, 9200, 6379, 9090, 9000, 8020, 2181, 8081) instead of
    /// free ones, so that configuration files from the documentation work as they stand
    #[arg(long)]
    standard_ports: bool,
    /// Whose /metrics Prometheus reads every second
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9249")]
    scrape: String,
}

/// Which servers to stop.
#[derive(Debug, Args)]
pub(crate) struct DownArguments {
    names: Vec<Service>,
    /// Remove their data too
    #[arg(long)]
    wipe: bool,
}

/// Which servers to show.
#[derive(Debug, Args)]
pub(crate) struct StatusArguments {
    names: Vec<Service>,
}

/// A server that can be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Service {
    Kafka,
    Elasticsearch,
    Redis,
    Prometheus,
    Minio,
    Hdfs,
    Zookeeper,
    /// A session cluster with a JobManager and a TaskManager of four slots
    Flink,
}

/// What is remembered of a server that was started.
#[derive(Debug, Serialize, Deserialize)]
struct Running {
    address: String,
    group: Group,
    /// Other processes of the same service.
    #[serde(default)]
    companions: Vec<Group>,
}

/// Does what was asked for.
pub(crate) fn run(command: &ServicesCommand) -> Result<()> {
    match command {
        ServicesCommand::Up(arguments) => up(arguments),
        ServicesCommand::Down(arguments) => down(arguments),
        ServicesCommand::Status(arguments) => status(&arguments.names),
    }
}

fn up(arguments: &UpArguments) -> Result<()> {
    let usual = [Service::Kafka, Service::Elasticsearch, Service::Redis];
    let names = if arguments.names.is_empty() { &usual } else { arguments.names.as_slice() };
    for service in names {
        if service.running()?.is_none() {
            let watch = Stopwatch::start();
            service.start(arguments)?;
            console::line(&format!("started {} in {}", service.name(), console::time(watch.elapsed())));
        }
    }
    status(names)
}

fn down(arguments: &DownArguments) -> Result<()> {
    for service in named(&arguments.names) {
        if let Some(running) = service.running()? {
            running.groups().try_for_each(|group| group.stop(GRACE))?;
            fs::remove_file(service.record()?)?;
            console::line(&format!("stopped {}", service.name()));
        }
        let home = service.home()?;
        if arguments.wipe && home.exists() {
            fs::remove_dir_all(&home).with_context(|| format!("cannot remove {}", home.display()))?;
            console::line(&format!("removed the data of {}", service.name()));
        }
    }
    Ok(())
}

fn status(names: &[Service]) -> Result<()> {
    for service in named(names) {
        let name = service.name();
        let text = match service.running()? {
            None => format!("{name:<14} stopped"),
            Some(running) => {
                let memory = running.groups().map(Group::memory).sum::<u64>() / (1024 * 1024);
                format!("{name:<14} {:<28} pid {:<8} {memory} MB", running.address, running.group.id)
            }
        };
        console::line(&text);
    }
    Ok(())
}

/// Those that were named; all if none was.
fn named(names: &[Service]) -> &[Service] {
    if names.is_empty() { Service::value_variants() } else { names }
}

impl Running {
    /// Companions first: they miss the one they depend on.
    fn groups(&self) -> impl Iterator<Item = Group> {
        self.companions.iter().copied().chain([self.group])
    }
}

impl Service {
    fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Elasticsearch => "elasticsearch",
            Self::Redis => "redis",
            Self::Prometheus => "prometheus",
            Self::Minio => "minio",
            Self::Hdfs => "hdfs",
            Self::Zookeeper => "zookeeper",
            Self::Flink => "flink",
        }
    }

    fn standard_port(self) -> u16 {
        match self {
            Self::Kafka => 9092,
            Self::Elasticsearch => 9200,
            Self::Redis => 6379,
            Self::Prometheus => 9090,
            Self::Minio => 9000,
            Self::Hdfs => 8020,
            Self::Zookeeper => 2181,
            Self::Flink => 8081,
        }
    }

    /// Where its data is: readable for the user that some servers run as.
    fn home(self) -> Result<PathBuf> {
        Ok(cache::public_dir()?.join("services").join(self.name()))
    }

    fn record(self) -> Result<PathBuf> {
        Ok(self.home()?.with_extension("json"))
    }

    /// What runs of it; a record whose process is gone counts as nothing.
    fn running(self) -> Result<Option<Running>> {
        let Ok(text) = fs::read_to_string(self.record()?) else {
            return Ok(None);
        };
        let running: Running = serde_json::from_str(&text).context("cannot read the record of a service")?;
        Ok(Some(running).filter(|running| running.group.is_running()))
    }

    fn start(self, arguments: &UpArguments) -> Result<()> {
        let port = arguments.standard_ports.then(|| self.standard_port());
        let is_new = !self.home()?.exists();
        let home = Home::lasting(&self.home()?)?;
        let mut companions = Vec::new();
        let (address, group) = match self {
            Self::Kafka => {
                let kafka = Kafka::builder().port(port).home(home).start()?;
                if is_new {
                    kafka.create_topics(&[TOPIC])?;
                }
                (kafka.bootstrap().to_owned(), kafka.server().and_then(Server::group))
            }
            Self::Elasticsearch => {
                let elasticsearch = Elasticsearch::builder().port(port).home(home).start()?;
                (elasticsearch.url().to_owned(), elasticsearch.server().and_then(Server::group))
            }
            Self::Redis => {
                let redis = Redis::builder().port(port).home(home).start()?;
                (redis.url().to_owned(), redis.server().and_then(Server::group))
            }
            Self::Prometheus => {
                let prometheus =
                    Prometheus::builder().port(port).target(&arguments.scrape).home(home).start()?;
                (prometheus.url(), prometheus.server().group())
            }
            Self::Minio => {
                let minio = MinIo::builder().port(port).home(home).start()?;
                (minio.endpoint().to_owned(), minio.server().and_then(Server::group))
            }
            Self::Hdfs => {
                let mut hdfs = Hdfs::builder().port(port).home(home).start()?;
                companions
                    .extend([hdfs.datanode(0)?.group(), hdfs.datanode(1)?.group()].into_iter().flatten());
                (hdfs.url().to_owned(), hdfs.server().and_then(Server::group))
            }
            Self::Zookeeper => {
                let zookeeper = ZooKeeper::builder().port(port).home(home).start()?;
                (zookeeper.quorum(), zookeeper.servers().first().and_then(Server::group))
            }
            Self::Flink => {
                let mut flink = Flink::builder().port(port).home(home).slots(4).start()?;
                companions.extend(flink.task_manager(0)?.group());
                (flink.url(), flink.job_manager(0)?.group())
            }
        };
        let group = group.context("it started and ended again")?;
        fs::write(self.record()?, serde_json::to_string(&Running { address, group, companions })?)?;
        Ok(())
    }
}
