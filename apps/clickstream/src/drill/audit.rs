//! Reads every store back and compares it with what it must hold.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;
use std::time::Duration;

use millstream::{Error, Result};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use serde_json::{Value, json};

use super::config::{Site, Store};
use super::truth::Truth;

/// The tables of the shop, by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Results {
    /// Count by user and start of the minute.
    pub user_clicks: BTreeMap<(String, i64), u64>,
    /// Item and count by end of the window and rank.
    pub hot_items: BTreeMap<(i64, u32), (String, u64)>,
    /// PV and UV by granularity, dimension, value and start of the window.
    pub pv_uv: BTreeMap<(String, String, String, i64), (u64, u64)>,
    /// Rows that were there more than once.
    pub doubled: Vec<String>,
}

/// What an audit found, store by store.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    /// How each store compares.
    pub stores: Vec<Compared>,
}

/// One store against the truth.
#[derive(Clone, Debug, Default)]
pub struct Compared {
    /// The store.
    pub store: String,
    /// Rows that must be there.
    pub expected: usize,
    /// Rows that are not.
    pub missing: usize,
    /// Rows with another value.
    pub wrong: usize,
    /// Rows that should not be there.
    pub extra: usize,
    /// Rows that are there more than once.
    pub doubled: usize,
    /// A few of these.
    pub examples: Vec<String>,
}

impl Compared {
    /// Whether the store holds exactly what it must.
    pub fn is_right(&self) -> bool {
        self.expected > 0 && self.differences() == 0
    }

    fn differences(&self) -> usize {
        self.missing + self.wrong + self.extra + self.doubled
    }
}

impl Audit {
    /// Audits while the job runs, until all is right or the stores have come no nearer to that for as long as
    /// the patience lasts.
    pub(super) fn until_right(
        site: &Site,
        truth: &Truth,
        patience: Duration,
        mut run_for: impl FnMut(Duration) -> Result<()>,
    ) -> Result<Self> {
        const PAUSE: Duration = Duration::from_secs(3);
        let expected = truth.results(site.top);
        let (mut left, mut nearest) = (patience, usize::MAX);
        loop {
            let audit = Self::now(site, &expected);
            let apart = audit.as_ref().map_or(usize::MAX, Self::differences);
            if apart == 0 || left.is_zero() {
                return audit;
            }
            if apart < nearest {
                (left, nearest) = (patience, apart);
            }
            run_for(PAUSE.min(left))?;
            left = left.saturating_sub(PAUSE);
        }
    }

    fn now(site: &Site, expected: &Results) -> Result<Self> {
        let stores = site.stores.iter().map(|store| Ok(compare(&name(store), &read(site, store)?, expected)));
        Ok(Self { stores: stores.collect::<Result<_>>()? })
    }

    /// Whether every store holds exactly what it must.
    pub fn is_right(&self) -> bool {
        !self.stores.is_empty() && self.stores.iter().all(Compared::is_right)
    }

    // What is wrong in all stores together; 0 only where all is right.
    fn differences(&self) -> usize {
        let apart = self.stores.iter().map(Compared::differences).sum();
        if self.is_right() { 0 } else { usize::max(apart, 1) }
    }
}

fn name(store: &Store) -> String {
    match store {
        Store::Elasticsearch(url, _) => format!("Elasticsearch at {url}"),
        Store::Redis(_) => "Redis".to_owned(),
        Store::Sqlite(path) => format!("SQLite {}", path.display()),
        Store::Kafka(topic) => format!("Kafka topic {topic}, read_committed"),
    }
}

fn compare(store: &str, got: &Results, expected: &Results) -> Compared {
    let mut compared =
        Compared { store: store.to_owned(), doubled: got.doubled.len(), ..Compared::default() };
    compared.examples.extend(got.doubled.iter().take(3).map(|row| format!("twice: {row}")));
    table(&mut compared, "user_clicks", &got.user_clicks, &expected.user_clicks);
    table(&mut compared, "hot_items", &got.hot_items, &expected.hot_items);
    table(&mut compared, "pv_uv", &got.pv_uv, &expected.pv_uv);
    compared
}

fn table<K: Ord + Debug, V: PartialEq + Debug>(
    compared: &mut Compared,
    table: &str,
    got: &BTreeMap<K, V>,
    expected: &BTreeMap<K, V>,
) {
    compared.expected += expected.len();
    for (key, value) in expected {
        let note = match got.get(key) {
            Some(there) if there == value => continue,
            Some(there) => {
                compared.wrong += 1;
                format!("{table} {key:?}: {there:?} instead of {value:?}")
            }
            None => {
                compared.missing += 1;
                format!("{table} {key:?} is missing: {value:?}")
            }
        };
        compared.example(note);
    }
    for (key, value) in got.iter().filter(|(key, _)| !expected.contains_key(key)) {
        compared.extra += 1;
        compared.example(format!("{table} {key:?} should not be there: {value:?}"));
    }
}

impl Compared {
    fn example(&mut self, note: String) {
        if self.examples.len() < 10 {
            self.examples.push(note);
        }
    }
}

impl Results {
    fn add(&mut self, table: &str, row: &Value) {
        let before = match table {
            "user_clicks" => {
                let key = (text(row, "user_id"), number(row, "window_start"));
                self.user_clicks.insert(key, number(row, "count")).is_some()
            }
            "hot_items" => {
                let key = (number(row, "window_end"), number(row, "rank"));
                self.hot_items.insert(key, (text(row, "item_id"), number(row, "count"))).is_some()
            }
            _ => {
                let (granularity, dimension) = (text(row, "granularity"), text(row, "dimension"));
                let key = (granularity, dimension, text(row, "value"), number(row, "window_start"));
                self.pv_uv.insert(key, (number(row, "pv"), number(row, "uv"))).is_some()
            }
        };
        if before {
            self.doubled.push(format!("{table} {row}"));
        }
    }
}

fn text(row: &Value, column: &str) -> String {
    match &row[column] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

// What is no number is one that no right row has.
fn number<T: TryFrom<i64> + Default>(row: &Value, column: &str) -> T {
    let number = text(row, column).parse::<i64>().ok();
    number.and_then(|number| T::try_from(number).ok()).unwrap_or_default()
}

const TABLES: [&str; 3] = ["user_clicks", "hot_items", "pv_uv"];

fn read(site: &Site, store: &Store) -> Result<Results> {
    match store {
        Store::Elasticsearch(url, prefix) => elasticsearch(url, prefix),
        Store::Redis(url) => redis(url, site),
        Store::Sqlite(path) => sqlite(path),
        Store::Kafka(topic) => kafka(&site.brokers, topic),
    }
}

fn elasticsearch(url: &str, prefix: &str) -> Result<Results> {
    let mut results = Results::default();
    for table in TABLES {
        let index = format!("{prefix}{table}");
        post(&format!("{url}/{index}/_refresh"), "")?;
        let search = format!("{url}/{index}/_search?scroll=1m&size=10000");
        let mut page = post(&search, r#"{"sort": ["_doc"]}"#)?;
        loop {
            let hits = page["hits"]["hits"].as_array().cloned().unwrap_or_default();
            if hits.is_empty() {
                break;
            }
            hits.iter().for_each(|hit| results.add(table, &hit["_source"]));
            let next = json!({ "scroll": "1m", "scroll_id": page["_scroll_id"] });
            page = post(&format!("{url}/_search/scroll"), &next.to_string())?;
        }
    }
    Ok(results)
}

fn post(url: &str, body: &str) -> Result<Value> {
    let request = ureq::post(url).header("Content-Type", "application/json");
    let mut answer = request.send(body).map_err(|error| away(url, error))?;
    let text = answer.body_mut().with_config().limit(1 << 30).read_to_string();
    serde_json::from_str(&text.map_err(|error| away(url, error))?).map_err(|error| away(url, error))
}

fn redis(url: &str, site: &Site) -> Result<Results> {
    let mut redis = redis::Client::open(url)
        .and_then(|client| client.get_connection())
        .map_err(|error| away("Redis", error))?;
    let keys: Vec<String> =
        redis::cmd("KEYS").arg("*").query(&mut redis).map_err(|error| away("Redis", error))?;
    let mut results = Results::default();
    for key in keys.iter().filter(|key| site.is_ours(key)) {
        add_redis(&mut redis, key, &mut results).map_err(|error| away("Redis", error))?;
    }
    Ok(results)
}

fn add_redis(
    redis: &mut redis::Connection,
    key: &str,
    results: &mut Results,
) -> std::result::Result<(), redis::RedisError> {
    let parts: Vec<&str> = key.split(':').collect();
    match parts[..] {
        ["user_clicks", user, start] => {
            let count: u64 = redis::cmd("HGET").arg(key).arg("count").query(redis)?;
            results.add("user_clicks", &json!({ "user_id": user, "window_start": start, "count": count }));
        }
        ["pv_uv", granularity, dimension, value, start] => {
            let (pv, uv): (u64, u64) = redis::cmd("HMGET").arg(key).arg(&["pv", "uv"]).query(redis)?;
            let row = json!({
                "granularity": granularity, "dimension": dimension, "value": value, "window_start": start,
                "pv": pv, "uv": uv,
            });
            results.add("pv_uv", &row);
        }
        ["hot_items", end] => {
            let mut ranked: Vec<(String, f64)> =
                redis::cmd("ZRANGE").arg(key).arg(&["0", "-1", "WITHSCORES"]).query(redis)?;
            ranked.sort_by_key(|(item, count)| {
                (std::cmp::Reverse(*count as u64), item.parse::<u64>().unwrap_or_default())
            });
            for (rank, (item, count)) in (1..).zip(ranked) {
                let row = json!({ "window_end": end, "rank": rank, "item_id": item, "count": count as u64 });
                results.add("hot_items", &row);
            }
        }
        _ => {}
    }
    Ok(())
}

impl Site {
    // Windows of the drill's own years; what is kept beside a row, such as its version, has another shape.
    fn is_ours(&self, key: &str) -> bool {
        let window = key.rsplit(':').next().and_then(|time| time.parse::<i64>().ok());
        window.is_some_and(|time| (self.start - 7_200_000..self.start + 30 * 86_400_000).contains(&time))
    }
}

fn sqlite(path: &Path) -> Result<Results> {
    let failed = |error: rusqlite::Error| away(&path.display().to_string(), error);
    let database = rusqlite::Connection::open(path).map_err(failed)?;
    let mut results = Results::default();
    for table in TABLES {
        let mut statement = database.prepare(&format!("select * from {table}")).map_err(failed)?;
        let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
        let mut rows = statement.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let mut object = serde_json::Map::new();
            for (index, name) in names.iter().enumerate() {
                let value = match row.get_ref(index).map_err(failed)? {
                    rusqlite::types::ValueRef::Integer(number) => json!(number),
                    other => json!(other.as_str().unwrap_or_default()),
                };
                object.insert(name.clone(), value);
            }
            results.add(table, &Value::Object(object));
        }
    }
    Ok(results)
}

// From the beginning to what is committed now.
fn kafka(brokers: &str, topic: &str) -> Result<Results> {
    const PATIENCE: Duration = Duration::from_secs(10);
    let failed = |error: rdkafka::error::KafkaError| away(topic, error);
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "drill-audit")
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()
        .map_err(failed)?;
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).map_err(failed)?;
    let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
    let mut assignment = TopicPartitionList::new();
    for partition in 0..partitions as i32 {
        assignment.add_partition_offset(topic, partition, Offset::Beginning).map_err(failed)?;
    }
    consumer.assign(&assignment).map_err(failed)?;
    let (mut results, mut ended) = (Results::default(), 0);
    while ended < partitions {
        match consumer.poll(PATIENCE) {
            None => return Err(away(topic, "it gave nothing for 10 s")),
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(error)) => return Err(failed(error)),
            Some(Ok(message)) => {
                let row: Value =
                    serde_json::from_slice(message.payload().unwrap_or_default()).unwrap_or_default();
                results.add(&text(&row, "table"), &row);
            }
        }
    }
    Ok(results)
}

fn away(store: &str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::retry(format!("{store} cannot be audited")).caused_by(error)
}
