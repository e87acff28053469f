#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
//! Rolling files in a real object store.

use std::sync::Arc;
use std::time::Duration;

use millstream_files::{RollingFilesSink, RollingOptions};
use millstream_record::Result;
use millstream_sim::conformance::{self, SinkFixture};
use millstream_sim::{TokioWorld, World};
use millstream_storage::{Storage, StorageOptions};
use millstream_testkit::{MinIo, unique_name};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Row {
    key: u64,
    value: u64,
}

struct Bucket {
    url: String,
    storage: StorageOptions,
    runtime: tokio::runtime::Runtime,
}

impl SinkFixture for Bucket {
    type Record = Row;
    type Sink = RollingFilesSink<Row>;

    fn world(&self) -> Result<Arc<dyn World>> {
        Ok(Arc::new(TokioWorld::new()?))
    }

    fn sink(&self, place: &str) -> Result<RollingFilesSink<Row>> {
        Ok(RollingFilesSink::json_lines(RollingOptions {
            storage: self.storage.clone(),
            roll_size: 10_000,
            roll_interval: Duration::from_secs(3600),
            ..RollingOptions::to(format!("{}/{place}", self.url))
        }))
    }

    fn record(&self, key: u64, value: u64) -> Row {
        Row { key, value }
    }

    fn visible(&self, place: &str) -> Result<Vec<(u64, u64)>> {
        let storage = Storage::open(&self.url, &self.storage)?.child(place);
        self.runtime.block_on(async {
            let mut rows = Vec::new();
            for file in storage.list("").await?.into_iter().filter(|file| !file.path.starts_with('_')) {
                let bytes = storage.get(&file.path).await?.unwrap();
                let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
                rows.extend(lines.map(|line| serde_json::from_slice::<Row>(line).unwrap()));
            }
            Ok(rows.into_iter().map(|row| (row.key, row.value)).collect())
        })
    }

    fn large(&self) -> u64 {
        3000
    }
}

#[test]
fn s3_passes_the_list() {
    let minio = MinIo::shared().unwrap();
    let bucket = unique_name("rolling");
    minio.create_bucket(&bucket).unwrap();
    let storage = StorageOptions {
        s3_endpoint: Some(minio.endpoint().to_owned()),
        s3_access_key: Some(minio.access_key().into()),
        s3_secret_key: Some(minio.secret_key().into()),
        ..StorageOptions::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    conformance::sink(&Bucket { url: format!("s3://{bucket}/results"), storage, runtime }).unwrap();
}
