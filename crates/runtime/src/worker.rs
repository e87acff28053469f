//! The thread of one subtask: makes, opens, runs and closes its stage, whatever happens.

use std::sync::Arc;
use std::task::Waker;
use std::thread::{Builder, JoinHandle};

use millstream_protocol::checkpoint_options::CheckpointingMode;
use millstream_protocol::subtask::{Channels, SubtaskProtocol};
use millstream_record::key_group::owned_groups;
use millstream_record::{Error, Result};
use millstream_stage::context::{Context, OpenContext};
use millstream_stage::io::Io;
use millstream_stage::snapshot::Restored;
use millstream_stage::stage::Stage;

use crate::attempt_context::{AttemptContext, CoordinatorMessage};
use crate::halt::Halt;
use crate::inbox::{Inbox, Taken, ThreadCommand, Want};
use crate::layout;
use crate::meter::Meter;
use crate::outputs::{Output, Outputs, Sender};
use crate::panics;
use crate::subtask::{Barriers, Subtask};

/// What a thread needs.
pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) attempt: Arc<AttemptContext>,
    pub(crate) io: Arc<dyn Io>,
    pub(crate) restored: Restored,
}

impl Worker {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) where the system gives no
    /// more threads.
    pub(crate) fn spawn(self) -> Result<JoinHandle<()>> {
        let who = self.attempt.setup.who(self.index);
        let spawned = Builder::new().name(self.thread_name()).spawn(move || self.work());
        spawned.map_err(|error| {
            Error::configuration(format!("no thread can be started for {who}")).caused_by(error)
        })
    }

    // Some systems show 15 characters: the number first.
    fn thread_name(&self) -> String {
        let name = self.attempt.setup.stage(self.index).name.replace('\0', "");
        format!("{}/{name}", self.attempt.setup.places[self.index].subtask)
    }

    fn work(self) {
        let mut stage: Option<Box<dyn Stage>> = None;
        let (attempt, index) = (Arc::clone(&self.attempt), self.index);
        let outcome = panics::catch(|| self.live(&mut stage));
        let failed = match outcome {
            Ok(Ok(()) | Err(Halt::Aborted)) => None,
            Ok(Err(Halt::Failed(error))) => Some(error.at(attempt.setup.who(index))),
            Err(panic) => Some(Error::bug(format!("{} panicked: {panic}", attempt.setup.who(index)))),
        };
        if let Some(error) = failed {
            attempt.fail_task(index, error);
        }
        if let Err(panic) = panics::catch(|| close(stage)) {
            attempt.fail_task(
                index,
                Error::bug(format!("{} panicked while closing: {panic}", attempt.setup.who(index))),
            );
        }
        attempt.tell(CoordinatorMessage::Exited(index));
    }

    fn live(self, place: &mut Option<Box<dyn Stage>>) -> Result<(), Halt> {
        let Self { index, attempt, io, restored } = self;
        let stage = place.insert((attempt.setup.stage(index).make)());
        let inbox = &attempt.inboxes[index];
        let waker = Waker::from(Arc::clone(inbox));
        let mut cx = open_context(&attempt, index, &io, &waker, restored);
        stage.open(&mut cx)?;
        if !attempt.setup.allow_non_restored {
            cx.restored
                .refuse_untaken(attempt.setup.stage(index).operators.iter().map(|spec| spec.name.as_str()))?;
        }
        attempt.tell(CoordinatorMessage::Opened);
        let protocol = protocol(&attempt, index);
        await_run(inbox, &protocol)?;
        let clock = attempt.setup.clock.as_ref();
        let mut subtask = Subtask {
            index,
            attempt: &attempt,
            stage: stage.as_mut(),
            cx: Context::new(clock, &io, &waker),
            inbox,
            metrics: &attempt.setup.metrics.subtasks[index],
            outputs: outputs(&attempt, index),
            meter: Meter::new(clock),
            protocol,
            barriers: Barriers::default(),
        };
        subtask.run()
    }
}

// Freeing may panic as well: both happen here.
fn close(stage: Option<Box<dyn Stage>>) {
    if let Some(mut stage) = stage {
        stage.close();
    }
}

fn open_context(
    attempt: &AttemptContext,
    index: usize,
    io: &Arc<dyn Io>,
    waker: &Waker,
    restored: Restored,
) -> OpenContext {
    let plan = &attempt.setup.plan;
    let (place, stage) = (attempt.setup.places[index], attempt.setup.stage(index));
    let routes = plan.outputs(place.stage);
    OpenContext {
        job: plan.name.clone(),
        subtask: place.subtask,
        parallelism: stage.parallelism,
        key_groups: plan.key_groups,
        owned: owned_groups(place.subtask, plan.key_groups, stage.parallelism),
        epoch: attempt.epoch,
        routes: routes.map(|(id, edge)| (id, plan.stages[edge.to as usize].parallelism)).collect(),
        clock: Arc::clone(&attempt.setup.clock),
        io: Arc::clone(io),
        waker: waker.clone(),
        metrics: Arc::clone(&attempt.setup.metrics.subtasks[index]),
        backend: Arc::clone(&attempt.setup.backend),
        restored,
    }
}

// Nothing runs before every subtask is open: a bad configuration never starts.
fn await_run(inbox: &Inbox, protocol: &SubtaskProtocol) -> Result<(), Halt> {
    let want = Want { channels: Channels::None, protocol, at_once: false, until: None };
    while !matches!(inbox.take(&want)?, Taken::Command(ThreadCommand::Run)) {}
    Ok(())
}

fn protocol(attempt: &AttemptContext, index: usize) -> SubtaskProtocol {
    let place = attempt.setup.places[index];
    let feeds: Vec<_> =
        layout::channels(&attempt.setup.plan, place).iter().map(|channel| channel.input).collect();
    let count = layout::inputs(&attempt.setup.plan, place.stage);
    let is_source = attempt.setup.stage(index).enumerator.is_some();
    let exactly_once = attempt.setup.options.checkpointing.mode == CheckpointingMode::ExactlyOnce;
    SubtaskProtocol::new(count, &feeds, is_source, exactly_once)
}

fn outputs(attempt: &AttemptContext, index: usize) -> Outputs {
    let plan = &attempt.setup.plan;
    let from = attempt.setup.places[index];
    let output = |(edge, spec): (_, &millstream_stage::plan::EdgeSpec)| {
        let routes = 0..plan.stages[spec.to as usize].parallelism;
        let sender = |subtask| {
            let to = layout::SubtaskId { stage: spec.to, subtask };
            let leads_here =
                |channel: &layout::ChannelSpec| channel.edge == edge && channel.upstream == from.subtask;
            let channel = layout::channels(plan, to).iter().position(leads_here)?;
            Some(Sender { inbox: Arc::clone(&attempt.inboxes[attempt.setup.index(to)?]), channel })
        };
        Output { edge, routes: routes.map(sender).collect() }
    };
    Outputs::new(plan.outputs(from.stage).map(output).collect())
}
