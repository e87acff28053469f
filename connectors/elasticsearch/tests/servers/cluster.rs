//! What all tests share: the record, the sink that writes it, and a look at what is in the cluster.

use std::sync::Arc;

use millstream_elasticsearch::{Document, ElasticsearchOptions, ElasticsearchSink};
use millstream_record::Error;
use millstream_sim::{DrivenWriter, Harness, TokioWorld, World as _};
use millstream_testkit::{Elasticsearch, unique_name};
use reqwest::Method;
use rustls::{ClientConfig, RootCertStore};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

/// A record: its key is the document's id. A value that is no number is against the mapping.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) key: u64,
    pub(crate) value: Value,
    /// Only to make a document large.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) filler: String,
}

impl Row {
    pub(crate) fn new(key: u64, value: u64) -> Self {
        Self { key, value: value.into(), filler: String::new() }
    }

    /// One whose document has about so many bytes.
    pub(crate) fn of_size(key: u64, value: u64, bytes: usize) -> Self {
        Self { filler: "x".repeat(bytes), ..Self::new(key, value) }
    }

    pub(crate) fn refused() -> Self {
        Self { key: 4_000_000_000, value: "no number".into(), filler: String::new() }
    }
}

/// Rows with these keys, the value ten times the key.
pub(crate) fn rows(keys: std::ops::Range<u64>) -> Vec<Row> {
    keys.map(|key| Row::new(key, key * 10)).collect()
}

/// What [`rows`] looks like in the store.
pub(crate) fn values(keys: std::ops::Range<u64>) -> Vec<(u64, u64)> {
    keys.map(|key| (key, key * 10)).collect()
}

/// Options for one host.
pub(crate) fn options(url: &str) -> ElasticsearchOptions {
    ElasticsearchOptions { hosts: vec![url.to_owned()], ..Default::default() }
}

/// The template of an index of rows.
fn template(index: &str) -> Value {
    json!({
        "index_patterns": [index],
        "template": {
            "settings": { "number_of_replicas": 0 },
            "mappings": { "dynamic": "strict", "properties": {
                "key": { "type": "long" },
                "value": { "type": "long" },
                "filler": { "type": "keyword", "index": false, "doc_values": false },
            }},
        },
    })
}

/// What a check says of the cluster and such an index.
pub(crate) fn check(options: &ElasticsearchOptions, index: &str) -> Result<String, Error> {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let clock = TokioWorld::new().unwrap().clock();
    runtime.block_on(millstream_elasticsearch::check(options, [(index, template(index))], clock))
}

/// A sink that writes rows into an index, mapped explicitly.
pub(crate) fn sink(options: ElasticsearchOptions, index: &str) -> ElasticsearchSink<Row> {
    let name = index.to_owned();
    ElasticsearchSink::new(options, move |row: &Row| Document::new(name.as_str(), row.key.to_string(), row))
        .with_template(index, template(index))
}

/// An index of one test.
pub(crate) fn index() -> String {
    unique_name("rows").to_lowercase()
}

/// A writer of epoch 1 on a runtime of its own.
pub(crate) fn writer(options: ElasticsearchOptions, index: &str) -> DrivenWriter<Row> {
    let harness = Harness::new(Arc::new(TokioWorld::new().unwrap()));
    DrivenWriter::open(&sink(options, index), harness).unwrap()
}

/// What a writer has counted under this name.
pub(crate) fn counted(writer: &DrivenWriter<Row>, counter: &'static str) -> u64 {
    writer.harness().metrics().operator("sink").counter(counter).get()
}

/// A look at a cluster from beside the sink.
pub(crate) struct Cluster {
    runtime: Runtime,
    client: reqwest::Client,
    url: String,
    password: Option<String>,
}

impl Cluster {
    pub(crate) fn of(server: &Elasticsearch) -> Self {
        Self::at(server.url())
    }

    pub(crate) fn at(url: &str) -> Self {
        Self::trusting(url, RootCertStore::empty())
    }

    /// With TLS.
    pub(crate) fn trusting(url: &str, roots: RootCertStore) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let tls = tls.with_root_certificates(roots).with_no_client_auth();
        let client = reqwest::Client::builder().no_proxy().tls_backend_preconfigured(tls).build().unwrap();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        Self { runtime, client, url: url.to_owned(), password: None }
    }

    pub(crate) fn password(self, password: &str) -> Self {
        Self { password: Some(password.to_owned()), ..self }
    }

    /// Asks, with a body or with nothing; an answer of 404 is null.
    pub(crate) fn ask(&self, method: Method, path: &str, body: &str) -> Value {
        let mut request = self.client.request(method, format!("{}{path}", self.url)).body(body.to_owned());
        request = request.header("content-type", "application/json");
        if let Some(password) = &self.password {
            request = request.basic_auth("elastic", Some(password));
        }
        let (status, text) = self.runtime.block_on(async {
            let response = request.send().await.unwrap();
            (response.status(), response.text().await.unwrap())
        });
        match status.as_u16() {
            200..=299 => serde_json::from_str(&text).unwrap(),
            404 => Value::Null,
            status => panic!("{path}: {status} {text}"),
        }
    }

    /// All keys and values of an index, by key. None if there is no such index.
    pub(crate) fn visible(&self, index: &str) -> Vec<(u64, u64)> {
        const PAGE: usize = 5000;
        let mut seen = Vec::new();
        if self.ask(Method::POST, &format!("/{index}/_refresh"), "").is_null() {
            return seen;
        }
        loop {
            let last = seen.last().map_or(-1, |(key, _): &(u64, u64)| *key as i64);
            let query = json!({
                "size": PAGE, "sort": ["key"], "search_after": [last], "_source": ["key", "value"],
            });
            let answer = self.ask(
                Method::POST,
                &format!("/{index}/_search?filter_path=hits.hits._source"),
                &query.to_string(),
            );
            let hits = answer["hits"]["hits"].as_array().cloned().unwrap_or_default();
            let number = |hit: &Value, field: &str| hit["_source"][field].as_u64().unwrap();
            seen.extend(hits.iter().map(|hit| (number(hit, "key"), number(hit, "value"))));
            if hits.len() < PAGE {
                return seen;
            }
        }
    }

    /// Changes the settings of an index.
    pub(crate) fn set(&self, index: &str, settings: &Value) {
        self.ask(Method::PUT, &format!("/{index}/_settings"), &settings.to_string());
    }
}
