//! Ids and versions: what is written twice, too late, or by somebody who should be dead.

use std::sync::Arc;
use std::time::Duration;

use millstream_elasticsearch::ElasticsearchOptions;
use millstream_record::ErrorKind;
use millstream_sim::{DrivenWriter, Harness, TokioWorld};
use millstream_stage::Rows;
use millstream_stage::sink::Sink;
use millstream_stage::snapshot::{Frozen, StageSnapshot};
use millstream_testkit::Elasticsearch;
use millstream_testkit::port::Port;

use crate::cluster::{Cluster, Row, counted, index, options, rows, sink, values, writer};

fn shared() -> &'static Elasticsearch {
    Elasticsearch::shared().unwrap()
}

fn of_epoch(epoch: u64, index: &str) -> DrivenWriter<Row> {
    let harness = Harness::new(Arc::new(TokioWorld::new().unwrap())).epoch(epoch);
    DrivenWriter::open(&sink(options(shared().url()), index), harness).unwrap()
}

#[test]
fn a_hot_id_folds_into_its_newest_value_and_never_meets_itself() {
    let index = index();
    // At once, so that the same ids are wanted while they are on their way.
    let options =
        ElasticsearchOptions { interval: Duration::ZERO, max_actions: 3, ..options(shared().url()) };
    let mut writer = writer(options, &index);
    for value in 0..2000_u64 {
        writer.write((0..5).map(|key| Row::new(key, value + key)).collect::<Vec<_>>()).unwrap();
        writer.resume().unwrap();
    }
    writer.flush().unwrap();
    assert_eq!(
        Cluster::of(shared()).visible(&index),
        (0..5).map(|key| (key, 1999 + key)).collect::<Vec<_>>()
    );
    let metrics = writer.harness().metrics().operator("sink");
    assert_eq!((counted(&writer, "conflicts"), counted(&writer, "retries")), (0, 0));
    assert!(counted(&writer, "folded") > 5000, "{}", counted(&writer, "folded"));
    assert_eq!(
        metrics.latency.histogram().len(),
        10_000,
        "every record was acknowledged once, folded ones too"
    );
}

#[test]
fn a_late_write_of_an_older_epoch_is_refused_and_counted() {
    let index = index();
    let mut zombie = of_epoch(7, &index);
    let mut newer = of_epoch(8, &index);
    newer.write(vec![Row::new(1, 100)]).unwrap();
    newer.flush().unwrap();
    zombie.write((0..50).map(|value| Row::new(1, value)).collect::<Vec<_>>()).unwrap();
    zombie.write(vec![Row::new(2, 5)]).unwrap();
    zombie.flush().unwrap();
    assert_eq!(Cluster::of(shared()).visible(&index), [(1, 100), (2, 5)]);
    assert_eq!((counted(&zombie, "conflicts"), counted(&newer, "conflicts")), (1, 0));
    newer.write(vec![Row::new(2, 6)]).unwrap();
    newer.flush().unwrap();
    assert_eq!(Cluster::of(shared()).visible(&index), [(1, 100), (2, 6)]);
}

// The barrier passes while nothing was acknowledged; the attempt dies; the next one has another parallelism.
#[test]
fn unacknowledged_writes_are_in_the_snapshot_and_lose_against_newer_ones() {
    let index = index();
    let port = Port::reserve().unwrap();
    let nobody = options(&format!("http://127.0.0.1:{}", port.number()));
    let snapshot = freeze_unsent(nobody, &index, rows(0..300));
    let open = |epoch, subtask| {
        let harness = Harness::new(Arc::new(TokioWorld::new().unwrap())).epoch(epoch).subtask(subtask, 2);
        let harness = harness.restored(snapshot.share(subtask, 2, &(0..64)));
        DrivenWriter::open(&sink(options(shared().url()), &index), harness)
    };
    let mut writers = [open(2, 0).unwrap(), open(2, 1).unwrap()];
    // Key 0 was dealt to one of the two. Written anew by both before, the old value must not come back.
    writers[1].write(vec![Row::new(0, 77)]).unwrap();
    writers[1].flush().unwrap();
    writers[0].write(vec![Row::new(1, 78)]).unwrap();
    writers[0].flush().unwrap();
    let mut expected = values(0..300);
    (expected[0].1, expected[1].1) = (77, 78);
    assert_eq!(Cluster::of(shared()).visible(&index), expected);
    let not_newer = open(1, 0).map(|_| ()).unwrap_err();
    assert_eq!(not_newer.kind(), ErrorKind::Configuration);
    assert!(not_newer.to_string().contains("epoch"), "{not_newer}");
}

fn freeze_unsent(options: ElasticsearchOptions, index: &str, rows: Vec<Row>) -> StageSnapshot {
    let harness = Harness::new(Arc::new(TokioWorld::new().unwrap()));
    let mut writer = sink(options, index).writer("sink", &mut harness.open_context()).unwrap();
    let (mut rows, mut dead) = (Rows::from(rows), Rows::default());
    let step = harness.call(|cx| {
        writer.write(cx, &mut rows, &mut dead)?;
        writer.flush(cx, &mut dead)
    });
    assert!(!step.unwrap().is_complete(), "a flush that waits");
    let mut frozen = Frozen::default();
    writer.snapshot(1, &mut frozen).unwrap();
    drop(writer);
    let mut snapshot = StageSnapshot::default();
    snapshot.add(frozen).unwrap();
    snapshot
}
