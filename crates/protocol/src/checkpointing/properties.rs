//! Whatever happens, in whatever order: what must hold of the decisions.

use std::collections::BTreeSet;
use std::time::Duration;

use millstream_stage::snapshot::CheckpointId;
use millstream_stage::stage::End;
use proptest::prelude::*;

use super::*;
use crate::checkpoint_options::CheckpointOptions;

const SUBTASKS: usize = 2;

#[derive(Default)]
struct CoordinatorModel {
    under_way: Option<(CheckpointId, BTreeSet<usize>)>,
    last_id: CheckpointId,
    written: BTreeSet<CheckpointId>,
    stands: BTreeSet<CheckpointId>,
    logging: BTreeSet<CheckpointId>,
    asked: u64,
    answered: BTreeSet<u64>,
    ended: BTreeSet<usize>,
    settled: BTreeSet<usize>,
    last_done: bool,
    failed: bool,
    released: bool,
    // A stop does not wait for sinks.
    impatient: bool,
    stopped: bool,
    ended_at: Option<u64>,
}

fn event(model: &mut CoordinatorModel, what: u8, luck: u8, subtask: usize) -> CoordinatorEvent {
    let id = model.under_way.as_ref().map_or(model.last_id, |(id, _)| *id)
        - u64::from(luck == 0 && model.last_id > 0);
    match what {
        0..=3 => CoordinatorEvent::Frozen { id, subtask },
        4 | 5 => {
            let result = if luck < 4 { Err("503".to_owned()) } else { Ok(()) };
            CoordinatorEvent::Written { id, result }
        }
        6 | 7 => {
            let logged = match luck {
                0..=2 => Logged::Unknown("no answer".into()),
                3 if subtask == 0 => Logged::Fenced("newer".into()),
                _ => Logged::Stands,
            };
            CoordinatorEvent::Logged { id, logged }
        }
        8 => CoordinatorEvent::Declined { id, why: "no".into() },
        9 => {
            let wanted =
                [Wanted::Checkpoint, Wanted::Savepoint, Wanted::Stop { drain: luck.is_multiple_of(2) }];
            let token = model.asked;
            model.asked += 1;
            CoordinatorEvent::Requested(Request { token, wanted: wanted[usize::from(luck) % 3] })
        }
        10 if luck < 5 => {
            CoordinatorEvent::Ended { subtask, end: if luck < 4 { End::Finished } else { End::Stopped } }
        }
        11 => CoordinatorEvent::Settled { subtask },
        12 if luck == 0 => CoordinatorEvent::Failed,
        13 if luck == 0 => CoordinatorEvent::Stop,
        14 => CoordinatorEvent::FinishLogged(Logged::Stands),
        _ => CoordinatorEvent::Tick,
    }
}

fn know(model: &mut CoordinatorModel, event: &CoordinatorEvent) {
    match event {
        CoordinatorEvent::Frozen { id, subtask } => {
            if let Some((_, frozen)) = model.under_way.as_mut().filter(|(under_way, _)| under_way == id) {
                frozen.insert(*subtask);
            }
        }
        CoordinatorEvent::Written { id, result: Ok(()) } => {
            model.written.insert(*id);
        }
        CoordinatorEvent::Logged { id, logged: Logged::Stands } => {
            model.stands.insert(*id);
        }
        CoordinatorEvent::Ended { subtask, .. } => {
            model.ended.insert(*subtask);
        }
        CoordinatorEvent::Settled { subtask } => {
            model.settled.insert(*subtask);
        }
        CoordinatorEvent::Failed => model.failed = true,
        CoordinatorEvent::Stop => model.stopped = true,
        _ => {}
    }
}

fn check(
    model: &mut CoordinatorModel,
    decision: &CoordinatorDecision,
    now: u64,
    options: &CheckpointOptions,
) {
    let refused = matches!(decision, CoordinatorDecision::Refuse { .. });
    assert!(!model.released || refused, "{decision:?} after the release");
    match decision {
        CoordinatorDecision::Trigger { id, request, .. } => {
            assert!(!model.failed && model.under_way.is_none() && !model.last_done);
            assert!(*id > model.last_id, "numbers grow");
            let pause = options.min_pause.as_nanos() as u64;
            let periodic =
                request.is_none() && model.ended.len() < SUBTASKS && options.savepoint_interval.is_none();
            // What a stop takes along waits for no pause.
            let periodic = periodic && !(model.impatient && model.stopped);
            assert!(!periodic || model.ended_at.is_none_or(|at| now >= at + pause));
            model.last_id = *id;
            model.under_way = Some((*id, BTreeSet::new()));
        }
        CoordinatorDecision::Write(id) => {
            let frozen = model.under_way.as_ref().filter(|(under_way, _)| under_way == id);
            assert_eq!(frozen.map(|(_, frozen)| frozen.len()), Some(SUBTASKS));
        }
        CoordinatorDecision::Log(id) => {
            assert!(model.written.contains(id));
            model.logging.insert(*id);
        }
        CoordinatorDecision::Complete { id, last, request, .. } => {
            assert!(model.stands.contains(id) && model.logging.contains(id));
            assert_eq!(model.under_way.take().map(|(id, _)| id), Some(*id));
            model.last_done |= last;
            model.ended_at = Some(now);
            answer(model, *request);
        }
        CoordinatorDecision::Abort { id, request, .. } => {
            assert_eq!(model.under_way.take().map(|(id, _)| id), Some(*id));
            model.ended_at = Some(now);
            answer(model, *request);
        }
        CoordinatorDecision::Refuse { token, .. } => answer(model, Some(*token)),
        CoordinatorDecision::LogFinish => assert!(model.last_done && all_done(model)),
        CoordinatorDecision::Release => {
            assert!(model.last_done && (model.impatient || all_done(model)));
            model.released = true;
        }
        CoordinatorDecision::FailJob { .. } => {
            assert!(!model.failed, "once");
            model.failed = true;
        }
        CoordinatorDecision::StopSources { .. } => {}
    }
}

fn all_done(model: &CoordinatorModel) -> bool {
    model.ended.len() == SUBTASKS && model.settled.len() == SUBTASKS
}

fn answer(model: &mut CoordinatorModel, request: Option<u64>) {
    assert!(request.is_none_or(|token| model.answered.insert(token)), "{request:?} is answered twice");
}

proptest! {
    #[test]
    fn one_at_a_time_and_complete_only_what_stands(
        turns in prop::collection::vec((0_u8..17, 0_u8..16, 0_usize..SUBTASKS, 0_u64..4), 1..300),
        tolerable_failed in 0_u32..20,
        interval in prop::option::of(1_u64..20),
        savepoints in prop::option::of(5_u64..50),
        impatient in any::<bool>(),
    ) {
        let options = CheckpointOptions {
            interval: interval.map(Duration::from_secs),
            savepoint_interval: savepoints.map(Duration::from_secs),
            min_pause: Duration::from_secs(3),
            timeout: Duration::from_secs(20),
            tolerable_failed,
            ..CheckpointOptions::default()
        };
        let mut coordinator = CheckpointCoordinator::new(options.clone(), SUBTASKS, 5);
        if impatient {
            let (flush, commit) = (Duration::from_secs(4), Duration::from_secs(2));
            coordinator = coordinator.leaving_unwritten(StopOptions { flush, commit });
        }
        let (mut model, mut now) = (CoordinatorModel { last_id: 4, impatient, ..CoordinatorModel::default() }, 0);
        coordinator.on(CoordinatorEvent::Started, now);
        for (what, luck, subtask, seconds) in turns {
            now += seconds * 1_000_000_000;
            let event = event(&mut model, what, luck, subtask);
            know(&mut model, &event);
            // An answer to a question that nobody asked does not come.
            if matches!(&event, CoordinatorEvent::Written { id, .. } if model.under_way.as_ref().is_none_or(|(under_way, _)| under_way != id)) {
                continue;
            }
            for decision in coordinator.on(event, now) {
                check(&mut model, &decision, now, &options);
            }
            prop_assert_eq!(coordinator.in_flight().is_some(), model.under_way.is_some() && !model.failed);
        }
        // Whoever asked is answered when the job fails.
        let waiting = model.asked - model.answered.len() as u64;
        let answers = coordinator.on(CoordinatorEvent::Failed, now);
        let tokens = answers.iter().filter(|decision| matches!(
            decision,
            CoordinatorDecision::Refuse { .. } | CoordinatorDecision::Abort { request: Some(_), .. }
        ));
        prop_assert_eq!(tokens.count() as u64, waiting);
    }
}
