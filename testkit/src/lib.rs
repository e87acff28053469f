//! Starts the real servers that Millstream's tests and developers use.
//!
//! Every server is fetched by a package client (Maven, pip, apt, Go) into a cache outside the checkout, runs
//! on a free loopback port with its data in a temporary directory, is awaited until healthy, and ends with
//! the value that owns it. If the owning process dies instead, a watchdog ends the server, so nothing is left
//! behind.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use millstream_testkit::{Elasticsearch, Flink, Kafka, Redis, Submission, ZooKeeper, unique_name};
//!
//! # fn main() -> anyhow::Result<()> {
//! // One instance for all tests of the process; `cargo xtask test` shares it between test binaries too.
//! let kafka = Kafka::shared()?;
//! let topic = unique_name("clicks");
//! kafka.create_topics(&[(&topic, 4)])?;
//!
//! // An instance of one's own: for a test that kills or configures it.
//! let mut redis = Redis::builder().password("secret").start()?;
//! redis.kill9()?;
//! redis.restart()?;
//!
//! let small = Elasticsearch::builder().setting("indexing_pressure.memory.limit: 1mb").start()?;
//! println!("{} {} {}", kafka.bootstrap(), redis.url(), small.url());
//!
//! // Several processes: each one is killed, paused and restarted by itself.
//! let zookeeper = ZooKeeper::start()?;
//! let mut flink = Flink::builder().high_availability(&zookeeper.quorum(), 2).task_managers(2).start()?;
//! let job = flink.run(&Submission::jar(Path::new("job.jar")).class("com.example.Job"))?;
//! let leader = flink.wait_for_leader(&[])?;
//! flink.job_manager(leader)?.kill9()?;
//! job.wait_until_running()?;
//! # Ok(())
//! # }
//! ```
//!
//! What owns what: [`mod@cache`] and [`mod@fetch`] bring software; [`mod@process`] and [`mod@server`] run it;
//! one file per service says how it is configured.

pub mod cache;
pub mod fetch;
pub mod group;
pub mod http;
pub mod port;
pub mod process;
pub mod server;
pub mod tls;
pub mod wait;

mod chromium;
mod elasticsearch;
mod files;
mod flink;
mod flink_client;
mod flink_home;
mod footprint;
mod go;
mod handle;
mod hdfs;
mod hdfs_software;
mod java;
mod kafka;
mod kafka_admin;
mod kafka_software;
mod kubernetes;
mod minio;
mod name;
mod opensearch;
mod prometheus;
mod redis;
mod s3proxy;
mod tls_front;
mod watchdog;
mod yarn;
mod zookeeper;

pub use chromium::Chromium;
pub use elasticsearch::{Elasticsearch, ElasticsearchBuilder};
pub use flink::{
    Checkpoint, CheckpointCounts, Checkpoints, ClaimMode, FailedCheckpoint, Flink, FlinkBuilder, FlinkJob,
    FlinkVersion, GlibcVersion, JobState, LatestCheckpoints, Metric, PipelineLibrary, RestoredCheckpoint,
    SavepointFormat, Submission, Vertex,
};
pub use flink_client::FlinkClient;
pub use flink_home::FlinkHome;
pub use footprint::Footprint;
pub use hdfs::{Hdfs, HdfsBuilder};
pub use kafka::{Kafka, KafkaBuilder, TopicRight};
pub use kubernetes::Kubernetes;
pub use minio::{MinIo, MinIoBuilder};
pub use name::unique_name;
pub use opensearch::OpenSearch;
pub use prometheus::{Prometheus, PrometheusBuilder};
pub use redis::{Redis, RedisBuilder, RedisVersion};
pub use s3proxy::S3Proxy;
pub use tls_front::TlsFront;
pub use yarn::Yarn;
pub use zookeeper::{ZooKeeper, ZooKeeperBuilder};
