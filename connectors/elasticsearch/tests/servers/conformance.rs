//! The list of checks that every sink passes.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use millstream_elasticsearch::{ElasticsearchOptions, ElasticsearchSink};
use millstream_record::Result;
use millstream_sim::conformance::{self, SinkFixture};
use millstream_sim::{TokioWorld, World};
use millstream_testkit::{Elasticsearch, OpenSearch, unique_name};

use crate::cluster::{Cluster, Row, options, sink};

struct Fixture {
    url: String,
    world: OnceLock<Arc<TokioWorld>>,
    run: String,
}

impl Fixture {
    fn new(url: &str) -> Self {
        Self { url: url.to_owned(), world: OnceLock::new(), run: unique_name("list").to_lowercase() }
    }

    fn index(&self, place: &str) -> String {
        format!("{}-{place}", self.run)
    }
}

impl SinkFixture for Fixture {
    type Record = Row;
    type Sink = ElasticsearchSink<Row>;

    fn world(&self) -> Result<Arc<dyn World>> {
        let world = self.world.get_or_init(|| Arc::new(TokioWorld::new().unwrap()));
        Ok(Arc::<TokioWorld>::clone(world))
    }

    // Small limits, so that batches, back-pressure and age all happen within a check.
    fn sink(&self, place: &str) -> Result<Self::Sink> {
        let options = ElasticsearchOptions {
            max_actions: 300,
            max_bytes: 32 << 10,
            interval: Duration::from_millis(50),
            buffer_bytes: 512 << 10,
            ..options(&self.url)
        };
        Ok(sink(options, &self.index(place)))
    }

    fn record(&self, key: u64, value: u64) -> Row {
        Row::new(key, value)
    }

    fn visible(&self, place: &str) -> Result<Vec<(u64, u64)>> {
        Ok(Cluster::at(&self.url).visible(&self.index(place)))
    }

    fn refused(&self) -> Option<Row> {
        Some(Row::refused())
    }
}

#[test]
fn elasticsearch_passes_the_list() {
    conformance::sink(&Fixture::new(Elasticsearch::shared().unwrap().url())).unwrap();
}

#[test]
fn opensearch_passes_the_list() {
    let server = OpenSearch::start().unwrap();
    conformance::sink(&Fixture::new(server.url())).unwrap();
}
