//! Snapshots and restores in the middle of everything.

use std::sync::Arc;
use std::time::Duration;

use millstream_delivery::NotReady;
use millstream_record::key_group::owned_groups;
use millstream_record::{ErrorKind, Result};
use millstream_sim::{DrivenWriter, Harness, Simulated};
use millstream_stage::snapshot::StageSnapshot;

use crate::script::{Row, Script, ScriptedReply, rows, turn_for};

fn open(
    script: &Script,
    world: &Arc<Simulated>,
    snapshot: &StageSnapshot,
    epoch: u64,
    subtasks: u16,
) -> Result<Vec<DrivenWriter<Row>>> {
    let of = |subtask| {
        let share = snapshot.share(subtask, subtasks, &owned_groups(subtask, 128, subtasks));
        let harness = Harness::new(Arc::<Simulated>::clone(world)).epoch(epoch).subtask(subtask, subtasks);
        DrivenWriter::open(script, harness.restored(share))
    };
    (0..subtasks).map(of).collect()
}

fn weather(seed: u64) -> impl FnMut(usize) -> ScriptedReply + Send {
    move |number| match (seed * 31 + number as u64 * 17) % 11 {
        0 => ScriptedReply::Lost,
        1 => ScriptedReply::Unheard,
        2 => ScriptedReply::Half,
        3 => ScriptedReply::Twice(Duration::from_millis(seed * 100)),
        4 => ScriptedReply::Never { written: seed.is_multiple_of(2) },
        5 => ScriptedReply::Busy,
        6 => ScriptedReply::TooLarge(7),
        _ => ScriptedReply::Slow(Duration::from_millis(number as u64 * 7 % 300)),
    }
}

// Attempts that die at any moment after a snapshot, at changing parallelism; whatever came after the snapshot
// comes again.
#[test]
fn nothing_is_lost_and_the_newest_wins_whatever_happens() {
    for seed in 0..60 {
        let script = Script::default().weather(weather(seed)).gate(move |attempt| match attempt % 3 {
            0 => Err(NotReady::Wait("away".to_owned())),
            _ => Ok(()),
        });
        let world = Arc::new(Simulated::new(seed, 0));
        let mut snapshot = StageSnapshot::default();
        let mut value = 0;
        for epoch in 1..6 {
            let subtasks = u16::try_from((seed + epoch) % 3 + 1).unwrap();
            let mut writers = open(&script, &world, &snapshot, epoch, subtasks).unwrap();
            // Written after the snapshot that the attempt began with: a replay writes it again, as here the
            // next attempt does.
            for round in 0..4 {
                value += 1;
                for key in 0..30 {
                    // The stream is keyed: one key, one subtask.
                    writers[key as usize % usize::from(subtasks)].write(vec![(key, value)]).unwrap();
                }
                let millis = i64::try_from((seed + round * 13) % 400).unwrap();
                for writer in &mut writers {
                    turn_for(writer, millis).unwrap();
                }
            }
            snapshot = StageSnapshot::default();
            for writer in &mut writers {
                snapshot.add(writer.checkpoint(epoch).unwrap()).unwrap();
            }
            for mut writer in writers {
                turn_for(&mut writer, i64::try_from(seed * 7 % 500).unwrap()).unwrap();
                writer.close();
            }
        }
        for mut writer in open(&script, &world, &snapshot, 9, 2).unwrap() {
            writer.flush().unwrap();
        }
        assert_eq!(script.rows(), (0..30).map(|key| (key, value)).collect::<Vec<_>>(), "seed {seed}");
    }
}

#[test]
fn what_is_on_its_way_waits_or_is_to_be_repeated_is_in_the_snapshot_once() {
    let script = Script::default().weather(|number| match number {
        0 => ScriptedReply::Well,
        1 => ScriptedReply::Lost,
        2 => ScriptedReply::TooLarge(1),
        _ => ScriptedReply::Never { written: false },
    });
    let mut writer = script.writer();
    writer.write(rows(0..20)).unwrap();
    writer.flush().unwrap();
    writer.write(rows(20..100)).unwrap();
    turn_for(&mut writer, 2_000).unwrap();
    writer.write(vec![(30, 1), (31, 1)]).unwrap();
    let frozen = writer.checkpoint(1).unwrap();
    let refused = writer.dead_letters().len();
    assert_eq!(frozen.lists[0].items.len() + refused, 80);
}

#[test]
fn a_write_of_a_later_or_the_same_attempt_is_no_past() {
    let script = Script::default().weather(|_| ScriptedReply::Lost);
    let mut writer = script.writer();
    writer.write(rows(0..5)).unwrap();
    let mut snapshot = StageSnapshot::default();
    snapshot.add(writer.checkpoint(1).unwrap()).unwrap();
    let error = open(&script, &Arc::new(Simulated::default()), &snapshot, 1, 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("epoch"), "{error}");
}
