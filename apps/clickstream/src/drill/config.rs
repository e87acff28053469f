//! Where a drill takes place: the user's configuration, changed so that nothing of the live job is touched.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use millstream::{Error, Result};
use rand::RngExt;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use serde_json::{Map, Value, json};

use super::DrillPlan;
use super::events::PARTITIONS;

/// The place of a drill.
#[derive(Clone, Debug)]
pub struct Site {
    /// Names everything of this drill.
    pub id: String,
    /// The job's name.
    pub job: String,
    /// The configuration that the job runs with.
    pub config: PathBuf,
    /// Kafka.
    pub brokers: String,
    /// Where the events go.
    pub events_topic: String,
    /// When the events begin, in event time.
    pub start: i64,
    /// Where the job can be asked over HTTP.
    pub port: u16,
    /// Places of the ranking of items.
    pub top: usize,
    /// The stores to audit.
    pub stores: Vec<Store>,
}

/// A store whose results are audited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// Its URL and the prefix of the indices.
    Elasticsearch(String, String),
    /// Its URL.
    Redis(String),
    /// The file.
    Sqlite(PathBuf),
    /// The topic.
    Kafka(String),
}

impl Site {
    /// Makes topics and configuration.
    pub(super) fn prepare(plan: &DrillPlan, chance: &mut impl rand::Rng) -> Result<Self> {
        let mut config = read(&plan.config)?;
        let id = format!("drill-{:08x}", chance.random::<u32>());
        let map = config.as_object_mut().ok_or_else(|| wrong("the configuration is no map of keys"))?;
        let name = map.get("pipeline.name").and_then(Value::as_str).unwrap_or("job").to_owned();
        let (brokers, topic) = kafka_source(map, &id)?;
        // A year of its own: no window is shared with the live job or with another drill.
        let start = 1_104_537_600_000 + 3_600_000 * chance.random_range(0..80_000_i64);
        let mut site = Self {
            job: format!("{name}-{id}"),
            config: plan.dir.join("job.yaml"),
            events_topic: topic,
            top: map.get("hot-items").and_then(|hot| hot["top"].as_u64()).unwrap_or(3) as usize,
            port: free_port()?,
            stores: Vec::new(),
            id,
            brokers,
            start,
        };
        site.change(map, plan)?;
        fs::create_dir_all(&plan.dir).map_err(|error| unwritable(&plan.dir, error))?;
        fs::write(&site.config, config.to_string()).map_err(|error| unwritable(&site.config, error))?;
        site.create_topics()?;
        Ok(site)
    }

    fn change(&mut self, map: &mut Map<String, Value>, plan: &DrillPlan) -> Result<()> {
        let sinks = map.get_mut("sinks").and_then(Value::as_array_mut);
        let sinks =
            sinks.ok_or_else(|| wrong("the configuration has no sinks: there is nothing to audit"))?;
        sinks.retain(|sink| sink["type"] != "csv");
        for sink in sinks {
            self.stores.push(store(sink, &self.id, &plan.dir)?);
        }
        for key in ["jobs", "behaviors", "watermark", "event", "time-zone", "pv-uv"] {
            map.remove(key);
        }
        map.insert("pipeline.name".to_owned(), json!(self.job));
        map.insert("job.dir".to_owned(), json!(plan.dir.join("job")));
        map.insert(
            "dead-letter".to_owned(),
            json!({ "type": "files", "path": plan.dir.join("dead-letter.jsonl") }),
        );
        map.insert("rest.port".to_owned(), json!(self.port));
        map.entry("execution.checkpointing.interval").or_insert(json!("1s"));
        map.entry("state.savepoints.dir")
            .or_insert(json!(format!("file://{}", plan.dir.join("savepoints").display())));
        Ok(())
    }

    fn create_topics(&self) -> Result<()> {
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .create()
            .map_err(|error| wrong("Kafka's settings cannot work").caused_by(error))?;
        let results = self.stores.iter().filter_map(|store| match store {
            Store::Kafka(topic) => Some((topic.as_str(), 2)),
            _ => None,
        });
        let topics = [(self.events_topic.as_str(), PARTITIONS)].into_iter().chain(results);
        let topics: Vec<_> = topics
            .map(|(name, partitions)| NewTopic::new(name, partitions, TopicReplication::Fixed(-1)))
            .collect();
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| wrong("no runtime can be started").caused_by(error))?;
        let created = runtime.block_on(admin.create_topics(&topics, &options));
        let refused = |error: &dyn std::fmt::Display| {
            wrong(format!("{} cannot be created: {error}", self.events_topic))
        };
        for topic in created.map_err(|error| refused(&error))? {
            topic.map_err(|(_, error)| refused(&error))?;
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path)
        .map_err(|error| wrong(format!("{} cannot be read", path.display())).caused_by(error))?;
    serde_saphyr::from_str(&text)
        .map_err(|error| wrong(format!("{} is no valid YAML: {error}", path.display())))
}

fn kafka_source(map: &mut Map<String, Value>, id: &str) -> Result<(String, String)> {
    let source = map.get_mut("source").filter(|source| source["type"] == "kafka");
    let source = source.and_then(Value::as_object_mut);
    let source = source
        .ok_or_else(|| wrong("a drill needs a job that reads from Kafka: source: {type: kafka, ...}"))?;
    let text = |key: &str| source.get(key).and_then(Value::as_str).map(str::to_owned);
    let (brokers, topic) = (text("brokers"), text("topic"));
    let (Some(brokers), Some(topic)) = (brokers, topic) else {
        return Err(wrong("the source names no brokers or no topic"));
    };
    let topic = format!("{topic}-{id}");
    source.insert("topic".to_owned(), json!(topic));
    source.insert("start".to_owned(), json!("earliest"));
    source.remove("bounded");
    Ok((brokers, topic))
}

fn store(sink: &mut Value, id: &str, dir: &Path) -> Result<Store> {
    let text = |sink: &Value, key: &str| sink[key].as_str().unwrap_or_default().to_owned();
    match sink["type"].as_str() {
        Some("elasticsearch") => {
            let host = sink["hosts"][0].as_str().unwrap_or_default().trim_end_matches('/').to_owned();
            let prefix = format!("{id}-");
            sink["index-prefix"] = json!(prefix);
            Ok(Store::Elasticsearch(host, prefix))
        }
        Some("redis") => Ok(Store::Redis(text(sink, "url"))),
        Some("sqlite") => {
            let path = dir.join("results.db");
            sink["path"] = json!(path);
            Ok(Store::Sqlite(path))
        }
        Some("kafka") => {
            let topic = format!("{}-{id}", text(sink, "topic").replace("{table}", "all"));
            sink["topic"] = json!(topic);
            Ok(Store::Kafka(topic))
        }
        other => {
            Err(wrong(format!("a drill cannot audit a sink of type {other:?}: take it out of the file")))
        }
    }
}

fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0));
    let port = listener.and_then(|listener| listener.local_addr()).map(|address| address.port());
    port.map_err(|error| wrong("no port is free").caused_by(error))
}

fn unwritable(path: &Path, error: std::io::Error) -> Error {
    wrong(format!("{} cannot be written", path.display())).caused_by(error)
}

pub(super) fn wrong(message: impl Into<String>) -> Error {
    Error::configuration(message)
}
