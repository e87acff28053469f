//! The rules that the thread driver and the simulation once had apart, each with the case that tells the two
//! apart; and the others.

use millstream_stage::watermark::WatermarkEvent;

use super::*;

const IDLE: ReaderState = ReaderState { finished: false, waiting: false };

fn source() -> SubtaskProtocol {
    opened(SubtaskProtocol::new(0, &[], true, true))
}

/// A subtask with one input that so many channels feed.
fn fed_by(channels: usize) -> SubtaskProtocol {
    opened(SubtaskProtocol::new(1, &vec![0; channels], false, true))
}

fn opened(mut protocol: SubtaskProtocol) -> SubtaskProtocol {
    assert!(protocol.wants_resume(), "the first call is a resume");
    assert_eq!(on(&mut protocol, SubtaskEvent::Resume), [SubtaskDecision::Call(StageCall::Resume)]);
    protocol
}

/// What follows from an event, where every call is answered with *done*.
fn on(protocol: &mut SubtaskProtocol, event: SubtaskEvent) -> Vec<SubtaskDecision> {
    protocol.on(event);
    carry_out(protocol, Step::DONE)
}

fn command(protocol: &mut SubtaskProtocol, command: SubtaskCommand) -> Vec<SubtaskDecision> {
    on(protocol, SubtaskEvent::Command(command))
}

fn make(protocol: &mut SubtaskProtocol, chosen: Move, answer: Step) -> Vec<SubtaskDecision> {
    assert!(protocol.can(chosen), "{chosen:?} is possible in {protocol:?}");
    protocol.make(chosen);
    carry_out(protocol, answer)
}

fn carry_out(protocol: &mut SubtaskProtocol, answer: Step) -> Vec<SubtaskDecision> {
    let mut all = Vec::new();
    while let Some(decision) = protocol.next_decision() {
        if let SubtaskDecision::Call(call) = &decision {
            protocol.answered(call.asked(), answer);
        }
        all.push(decision);
    }
    all
}

fn trigger(id: CheckpointId, hold: bool) -> SubtaskCommand {
    SubtaskCommand::Trigger { id, hold }
}

fn assign(last: bool) -> SubtaskCommand {
    SubtaskCommand::Assign(Assignment { subtask: 0, splits: Vec::new(), last })
}

/// A source that waits behind the barrier of checkpoint 5.
fn held() -> SubtaskProtocol {
    let mut source = source();
    assert_eq!(command(&mut source, trigger(5, true)), []);
    let passed = make(&mut source, Move::Barrier, Step::DONE);
    let prepare = SubtaskDecision::Call(StageCall::Prepare(5));
    let snapshot = SubtaskDecision::Call(StageCall::Snapshot(5));
    assert_eq!(
        passed,
        [prepare, snapshot, SubtaskDecision::PassBarrier(5), SubtaskDecision::ReportFrozen(5)]
    );
    assert!(source.is_quiet() && !source.wants_resume() && !source.watches_reader());
    source
}

#[test]
fn a_held_source_goes_on_when_its_checkpoint_or_a_later_one_is_given_up() {
    for (aborted, goes_on) in [(4, false), (5, true), (6, true)] {
        let mut source = held();
        assert_eq!(
            command(&mut source, SubtaskCommand::Aborted(aborted)),
            [SubtaskDecision::Call(StageCall::Aborted(aborted))]
        );
        assert_eq!(!source.is_quiet(), goes_on, "aborted {aborted}");
        assert_eq!(source.wants_resume(), goes_on, "aborted {aborted}");
    }
}

#[test]
fn a_held_source_stays_held_when_its_checkpoint_is_complete() {
    // What it read then would be behind the savepoint that the job stops with.
    let mut source = held();
    command(&mut source, SubtaskCommand::Completed { id: 5, last: false });
    assert!(source.is_quiet() && !source.wants_resume());
    assert_eq!(on(&mut source, SubtaskEvent::Resume), [], "nor does a wake-up set it going");
}

#[test]
fn a_held_source_goes_on_when_it_is_stopped() {
    // It must flush what its chain holds, whether or not it has heard that the savepoint is complete.
    let mut source = held();
    let stopped = command(&mut source, SubtaskCommand::Stop(End::Stopped));
    assert_eq!(stopped, [SubtaskDecision::Call(StageCall::EndOfInput(0, End::Stopped))]);
    assert!(!source.is_quiet() && source.wants_resume());
}

#[test]
fn a_newer_checkpoint_lets_a_held_source_go() {
    let mut source = held();
    command(&mut source, trigger(6, false));
    make(&mut source, Move::Barrier, Step::DONE);
    assert!(!source.is_quiet());
}

#[test]
fn a_blocked_stage_hears_marks_while_a_barrier_is_awaited() {
    // Else the watermark stays before the barrier of the other channel, and the stage holds the checkpoint up
    // for as long as it is blocked.
    let mut protocol = fed_by(2);
    protocol.answered(Asked::Other, Step::BLOCKED);
    on(&mut protocol, SubtaskEvent::Watermark(0, WatermarkEvent::Watermark(7)));
    on(&mut protocol, SubtaskEvent::Watermark(1, WatermarkEvent::Watermark(7)));
    assert!(!protocol.can(Move::InputEvent), "blocked, and no barrier is awaited");
    on(&mut protocol, SubtaskEvent::Barrier(0, 1));
    assert_eq!(
        make(&mut protocol, Move::InputEvent, Step::DONE),
        [SubtaskDecision::Call(StageCall::Watermark(0, WatermarkEvent::Watermark(7)))]
    );
    assert_eq!(protocol.channels(), Channels::All);
    assert!(protocol.is_held(0) && !protocol.is_held(1));
}

#[test]
fn a_blocked_stage_takes_barriers_alone_where_none_is_awaited() {
    let mut protocol = fed_by(2);
    protocol.answered(Asked::Other, Step::BLOCKED);
    assert_eq!(protocol.channels(), Channels::Barriers);
    protocol.answered(Asked::Resume, Step::DONE);
    assert_eq!(protocol.channels(), Channels::All);
    protocol.answered(Asked::Other, Step::MORE);
    assert_eq!(protocol.channels(), Channels::Barriers);
}

#[test]
fn a_resume_follows_completed_and_aborted() {
    // Neither call can say what the stage wants next, such as to commit.
    for news in [SubtaskCommand::Completed { id: 1, last: false }, SubtaskCommand::Aborted(1)] {
        let mut protocol = fed_by(1);
        assert!(!protocol.wants_resume());
        command(&mut protocol, news);
        assert!(protocol.wants_resume());
    }
}

#[test]
fn splits_and_stops_wait_behind_the_barrier_at_hand() {
    let mut source = source();
    command(&mut source, trigger(1, false));
    let waits = make(&mut source, Move::Barrier, Step::BLOCKED);
    assert_eq!(waits, [SubtaskDecision::Call(StageCall::Prepare(1))]);
    assert_eq!(command(&mut source, assign(false)), []);
    assert_eq!(command(&mut source, SubtaskCommand::Stop(End::Stopped)), []);
    assert!(!source.can(Move::Barrier), "not before a resume");
    on(&mut source, SubtaskEvent::Resume);
    let passed = make(&mut source, Move::Barrier, Step::DONE);
    let snapshot = passed.iter().position(|decision| *decision == SubtaskDecision::ReportFrozen(1));
    let assigned =
        passed.iter().position(|decision| matches!(decision, SubtaskDecision::Call(StageCall::Assign(_))));
    let ended = passed
        .iter()
        .position(|decision| matches!(decision, SubtaskDecision::Call(StageCall::EndOfInput(..))));
    assert!(snapshot.is_some() && snapshot < assigned && assigned < ended, "{passed:?}");
}

#[test]
fn news_of_checkpoints_overtakes_the_barrier_at_hand() {
    let mut source = source();
    command(&mut source, trigger(2, false));
    make(&mut source, Move::Barrier, Step::BLOCKED);
    let completed = command(&mut source, SubtaskCommand::Completed { id: 1, last: false });
    assert_eq!(completed, [SubtaskDecision::Call(StageCall::Completed(1))]);
    let aborted = command(&mut source, SubtaskCommand::Aborted(2));
    assert_eq!(aborted, [SubtaskDecision::Call(StageCall::Aborted(2))], "once, though it is under way");
    assert_eq!(source.barrier(), None);
    assert!(source.wants_resume());
}

#[test]
fn what_waited_for_a_barrier_happens_when_it_is_given_up() {
    let mut source = source();
    command(&mut source, trigger(2, false));
    make(&mut source, Move::Barrier, Step::BLOCKED);
    command(&mut source, assign(true));
    let aborted = command(&mut source, SubtaskCommand::Aborted(2));
    assert!(matches!(
        aborted[..],
        [SubtaskDecision::Call(StageCall::Aborted(2)), SubtaskDecision::Call(StageCall::Assign(_))]
    ));
}

#[test]
fn a_reader_reports_once_that_it_waits_and_again_after_an_assignment() {
    let mut source = source();
    let waits = Move::Reader(ReaderState { waiting: true, ..IDLE });
    assert_eq!(make(&mut source, waits, Step::DONE), [SubtaskDecision::ReportReady]);
    assert!(!source.can(waits));
    command(&mut source, assign(false));
    assert!(source.can(waits));
}

#[test]
fn a_subtask_ends_when_its_stage_has_flushed() {
    let mut source = source();
    let finished = Move::Reader(ReaderState { finished: true, ..IDLE });
    let decisions = make(&mut source, finished, Step::MORE);
    assert_eq!(decisions, [SubtaskDecision::Call(StageCall::EndOfInput(0, End::Finished))]);
    assert!(!source.can(Move::End), "there is more to flush");
    on(&mut source, SubtaskEvent::Resume);
    let ended = make(&mut source, Move::End, Step::DONE);
    assert_eq!(ended, [SubtaskDecision::PassEnd(End::Finished), SubtaskDecision::ReportEnded(End::Finished)]);
    assert!(source.is_quiet() && source.has_ended());
    assert_eq!(command(&mut source, assign(false)), [], "it reads no more");
    assert_eq!(command(&mut source, SubtaskCommand::Stop(End::Stopped)), []);
}

#[test]
fn an_ended_subtask_takes_part_in_the_last_checkpoint_and_settles() {
    let mut source = source();
    make(&mut source, Move::Reader(ReaderState { finished: true, ..IDLE }), Step::DONE);
    make(&mut source, Move::End, Step::DONE);
    command(&mut source, trigger(9, false));
    let passed = make(&mut source, Move::Barrier, Step::DONE);
    assert!(!passed.contains(&SubtaskDecision::PassBarrier(9)), "nobody follows it: {passed:?}");
    command(&mut source, SubtaskCommand::Completed { id: 9, last: true });
    let waits = make(&mut source, Move::Settle, Step::BLOCKED);
    assert_eq!(waits, [SubtaskDecision::Call(StageCall::Prepare(9))]);
    assert!(!source.is_quiet() && !source.can(Move::Settle));
    on(&mut source, SubtaskEvent::Resume);
    let settled = make(&mut source, Move::Settle, Step::DONE);
    assert_eq!(settled, [SubtaskDecision::Call(StageCall::Prepare(9)), SubtaskDecision::ReportSettled]);
}

#[test]
fn only_resume_takes_a_wish_back() {
    let mut protocol = fed_by(1);
    protocol.answered(Asked::Other, Step::wake_at(10));
    protocol.answered(Asked::Other, Step::BLOCKED);
    protocol.answered(Asked::Other, Step::wake_at(20));
    assert_eq!((protocol.wake_at(), protocol.is_blocked()), (Some(10), true));
    protocol.answered(Asked::Resume, Step::wake_at(30));
    assert_eq!((protocol.wake_at(), protocol.is_blocked()), (Some(30), false));
}
