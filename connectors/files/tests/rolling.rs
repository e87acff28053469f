#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
//! Files that nobody sees before their checkpoint is complete: the list for sinks, crashes, and writers that
//! should be dead.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use millstream_files::{RollingFilesSink, RollingOptions};
use millstream_record::Result;
use millstream_sim::conformance::{self, SinkFixture};
use millstream_sim::{DrivenWriter, Harness, Simulated, TokioWorld, World};
use millstream_stage::snapshot::{Restored, StageSnapshot};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Row {
    key: u64,
    value: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Format {
    Csv,
    Json,
    Parquet,
}

struct Directory {
    directory: TempDir,
    format: Format,
    interval: Duration,
    real: bool,
}

impl Directory {
    fn new(format: Format, interval: Duration, real: bool) -> Self {
        Self { directory: tempfile::tempdir().unwrap(), format, interval, real }
    }
}

impl SinkFixture for Directory {
    type Record = Row;
    type Sink = RollingFilesSink<Row>;

    fn world(&self) -> Result<Arc<dyn World>> {
        if self.real { Ok(Arc::new(TokioWorld::new()?)) } else { Ok(Arc::new(Simulated::default())) }
    }

    fn sink(&self, place: &str) -> Result<RollingFilesSink<Row>> {
        let dir = self.directory.path().join(place);
        let options = RollingOptions {
            roll_interval: self.interval,
            roll_size: 300,
            buffer_size: 4096,
            ..RollingOptions::to(dir.to_str().unwrap())
        };
        match self.format {
            Format::Csv => Ok(RollingFilesSink::csv(options)),
            Format::Json => Ok(RollingFilesSink::json_lines(options)),
            Format::Parquet => RollingFilesSink::parquet(options),
        }
    }

    fn record(&self, key: u64, value: u64) -> Row {
        Row { key, value }
    }

    fn visible(&self, place: &str) -> Result<Vec<(u64, u64)>> {
        let rows = visible(&self.directory.path().join(place), self.format);
        Ok(rows.into_iter().map(|row| (row.key, row.value)).collect())
    }

    fn large(&self) -> u64 {
        2000
    }
}

// What a reader of the directory sees.
fn visible(dir: &Path, format: Format) -> Vec<Row> {
    let mut rows = Vec::new();
    let Ok(entries) = fs::read_dir(dir) else { return rows };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with('.') {
            continue;
        }
        match format {
            Format::Csv => {
                let mut reader = csv::Reader::from_path(path).unwrap();
                rows.extend(reader.deserialize().map(|row: csv::Result<Row>| row.unwrap()));
            }
            Format::Json => {
                let text = fs::read_to_string(path).unwrap();
                rows.extend(text.lines().map(|line| serde_json::from_str::<Row>(line).unwrap()));
            }
            Format::Parquet => rows.extend(read_parquet(&path)),
        }
    }
    rows.sort_by_key(|row| (row.key, row.value));
    rows
}

fn read_parquet(path: &Path) -> Vec<Row> {
    use parquet::record::RowAccessor;
    let file = parquet::file::reader::SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
    let rows = file.into_iter().map(|row| row.unwrap());
    rows.map(|row| Row { key: row.get_ulong(0).unwrap(), value: row.get_ulong(1).unwrap() }).collect()
}

const NEVER: Duration = Duration::from_secs(3600);

#[test]
fn csv_passes_the_list() {
    conformance::sink(&Directory::new(Format::Csv, Duration::ZERO, false)).unwrap();
    conformance::sink(&Directory::new(Format::Csv, Duration::ZERO, true)).unwrap();
}

#[test]
fn json_lines_pass_the_list() {
    conformance::sink(&Directory::new(Format::Json, Duration::ZERO, false)).unwrap();
}

#[test]
fn parquet_passes_the_list() {
    conformance::sink(&Directory::new(Format::Parquet, NEVER, false)).unwrap();
    conformance::sink(&Directory::new(Format::Parquet, NEVER, true)).unwrap();
}

struct Writers {
    place: Directory,
    world: Arc<dyn World>,
}

impl Writers {
    fn new() -> Self {
        let place = Directory::new(Format::Json, NEVER, false);
        let world = place.world().unwrap();
        Self { place, world }
    }

    fn open(&self, epoch: u64, restored: Restored) -> DrivenWriter<Row> {
        let harness = Harness::new(Arc::clone(&self.world)).epoch(epoch).restored(restored);
        DrivenWriter::open(&self.place.sink("here").unwrap(), harness).unwrap()
    }

    fn visible(&self) -> Vec<u64> {
        visible(&self.dir(), Format::Json).into_iter().map(|row| row.key).collect()
    }

    fn dir(&self) -> std::path::PathBuf {
        self.place.directory.path().join("here")
    }
}

fn rows(keys: std::ops::Range<u64>) -> millstream_stage::Rows<Row> {
    keys.map(|key| (Row { key, value: 0 }, 0)).collect()
}

fn frozen(writer: &mut DrivenWriter<Row>, id: u64) -> StageSnapshot {
    let mut snapshot = StageSnapshot::default();
    snapshot.add(writer.checkpoint(id).unwrap()).unwrap();
    snapshot
}

#[test]
fn what_a_checkpoint_has_of_an_open_file_is_shown_after_a_crash_and_no_more() {
    let writers = Writers::new();
    let mut first = writers.open(1, Restored::default());
    first.write(rows(0..3)).unwrap();
    let snapshot = frozen(&mut first, 1);
    first.write(rows(3..6)).unwrap();
    let _later = frozen(&mut first, 2);
    assert!(writers.visible().is_empty(), "the file is still open");
    first.close();
    let mut second = writers.open(2, snapshot.share(0, 1, &(0..1)));
    second.write(rows(3..5)).unwrap();
    let _checkpoint = second.checkpoint(3).unwrap();
    assert_eq!(writers.visible(), [0, 1, 2]);
    second.flush().unwrap();
    let _last = second.checkpoint(4).unwrap();
    second.completed(4).unwrap();
    second.flush().unwrap();
    second.close();
    assert_eq!(writers.visible(), [0, 1, 2, 3, 4]);
    let hidden = fs::read_dir(writers.dir())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_str().unwrap().starts_with('.'));
    assert_eq!(hidden.count(), 0, "nothing is left over");
}

#[test]
fn a_writer_that_should_be_dead_changes_nothing_visible() {
    let writers = Writers::new();
    let mut zombie = writers.open(1, Restored::default());
    zombie.write(rows(0..3)).unwrap();
    let snapshot = frozen(&mut zombie, 1);
    let mut heir = writers.open(2, snapshot.share(0, 1, &(0..1)));
    let _checkpoint = heir.checkpoint(2).unwrap();
    zombie.write(rows(90..95)).unwrap();
    // It cannot complete a checkpoint any more; that it freezes one changes nothing.
    let _frozen = zombie.checkpoint(2);
    heir.completed(2).unwrap();
    heir.flush().unwrap();
    zombie.close();
    heir.close();
    assert_eq!(writers.visible(), [0, 1, 2]);
}
