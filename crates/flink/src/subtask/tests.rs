//! Runs pipelines on subtasks as Flink would, without Flink: elements go from call to call in one thread.

use std::collections::{BTreeMap, VecDeque};

use millstream_api::Environment;
use millstream_checkpoint::flink_form::encode_assignment;
use millstream_checkpoint::wire::{WireReader, WireWriter};
use millstream_cli::{App, NoOptions};
use millstream_operators::collection::{Collected, Collection};
use millstream_operators::operators::WatermarkStrategy;
use millstream_operators::window::{Count, Tumbling};
use millstream_stage::batch::Rows;
use millstream_stage::operator::{Operator, Output};
use millstream_stage::plan::Exchange;
use millstream_stage::source::Assignment;

use super::*;
use crate::enumerator::StageEnumerator;
use crate::program::{Job, Program};

type Counts = Collected<(i64, i64, u64)>;

/// Counts of numbers by their last digit, per second.
fn counting(results: &Counts) -> Box<dyn Program> {
    let results = results.clone();
    let build = move |_: &NoOptions, env: &Environment| {
        let numbers = (0..5_000_i64).map(|n| (n, n));
        let strategy = WatermarkStrategy::bounded_out_of_orderness(std::time::Duration::from_millis(50));
        env.source("numbers", Collection::with_times(numbers))
            .assign_timestamps_and_watermarks("event-time", strategy)
            .key_by(|n| n % 10)
            .window(Tumbling::of(std::time::Duration::from_secs(1)))
            .aggregate("count", Count, |key: &i64, window, count| (*key, window.start, count))
            .union(&[])
            .with_parallelism(1)
            .sink_to("results", results.clone());
        Ok(())
    };
    Box::new(App::new("counting").program(build))
}

type Queue = VecDeque<(usize, Vec<u8>)>;

/// A job that runs in this thread.
struct Cluster {
    program: Box<dyn Program>,
    job: Job,
    plan: Plan,
    parallelism: u16,
    subtasks: BTreeMap<(u32, u16), StageSubtask>,
    // By receiver: the input and the element.
    queues: BTreeMap<(u32, u16), Queue>,
    folder: tempfile::TempDir,
}

/// The state of all subtasks at one checkpoint.
#[derive(Default)]
struct Checkpoint {
    lists: BTreeMap<u32, Vec<Vec<u8>>>,
    keyed: BTreeMap<u32, Vec<(Vec<u8>, String)>>,
}

impl Cluster {
    fn start(program: Box<dyn Program>, parallelism: u16, from: Option<&Checkpoint>) -> Self {
        let job = Job::of_text("");
        let plan = job.load(program.as_ref()).unwrap().plan;
        let folder = tempfile::tempdir().unwrap();
        let mut cluster = Self {
            program,
            job,
            plan,
            parallelism,
            subtasks: BTreeMap::new(),
            queues: BTreeMap::new(),
            folder,
        };
        for stage in 0..cluster.plan.stages.len() as u32 {
            for subtask in 0..cluster.parallelism_of(stage) {
                let request = cluster.request(stage, subtask, from);
                let opened =
                    StageSubtask::open(cluster.program.as_ref(), &cluster.job, &request, Box::new(|| {}));
                cluster.subtasks.insert((stage, subtask), opened.unwrap());
            }
        }
        cluster.assign(from.is_some());
        cluster
    }

    fn request(&self, stage: u32, subtask: u16, from: Option<&Checkpoint>) -> Vec<u8> {
        let local = self.folder.path().join(format!("{stage}-{subtask}"));
        std::fs::create_dir_all(&local).unwrap();
        let mut out = WireWriter::default();
        out.int(stage as i32);
        out.int(subtask);
        out.int(self.parallelism_of(stage));
        out.long(1);
        out.long(256 << 20);
        out.text(&local.display().to_string());
        let outputs: Vec<_> = self.plan.outputs(stage).collect();
        out.list(outputs, |out, (edge, spec)| {
            out.int(edge as i32);
            out.int(self.parallelism_of(spec.to));
        });
        let inputs: Vec<_> = self.plan.inputs(stage).collect();
        out.list(inputs, |out, (edge, spec)| {
            out.int(edge as i32);
            out.int(self.parallelism_of(spec.from));
        });
        out.bool(from.is_some());
        let lists = from.and_then(|from| from.lists.get(&stage)).cloned().unwrap_or_default();
        let mine =
            lists.into_iter().enumerate().filter(|(n, _)| n % self.parallelism as usize == subtask as usize);
        out.list(mine.collect::<Vec<_>>(), |out, (_, item)| out.bytes(&item));
        out.int(0);
        out.int(0);
        let keyed = from.and_then(|from| from.keyed.get(&stage)).cloned().unwrap_or_default();
        out.list(keyed, |out, (manifest, folder)| {
            out.int(0);
            out.int(127);
            out.bytes(&manifest);
            out.text(&folder);
        });
        out.0
    }

    // The last stage has a parallelism of its own where it follows a forward edge.
    fn parallelism_of(&self, stage: u32) -> u16 {
        let forward = self.plan.inputs(stage).any(|(_, edge)| edge.exchange == Exchange::Forward);
        if forward { 1 } else { self.parallelism }
    }

    fn assign(&mut self, restored: bool) {
        let mut enumerator =
            StageEnumerator::open(self.program.as_ref(), self.job.clone(), 0, self.parallelism).unwrap();
        let answer = enumerator.on(0, restored.then_some(&[][..])).unwrap();
        let mut answer = WireReader(&answer);
        answer.long().unwrap();
        answer.bytes().unwrap();
        let assignments =
            answer.list(|answer| Ok((answer.number::<u16>()?, answer.bytes()?.to_vec()))).unwrap();
        for (subtask, assignment) in assignments {
            self.call((0, subtask), FlinkCall::Assign(&assignment));
        }
    }

    fn call(&mut self, to: (u32, u16), call: FlinkCall<'_>) -> CallOutcome {
        let subtask = self.subtasks.get_mut(&to).unwrap();
        let outcome = subtask.call(call).unwrap();
        for element in &outcome.elements {
            let spec = &self.plan.edges[element.edge as usize];
            let input = self.plan.inputs(spec.to).position(|(edge, _)| edge == element.edge).unwrap();
            let receiver = (spec.to, element.route);
            self.queues.entry(receiver).or_default().push_back((input, element.bytes.clone()));
        }
        outcome
    }

    /// Brings everything that is on its way.
    fn drain(&mut self) {
        while let Some(to) = self.queues.iter().find(|(_, queue)| !queue.is_empty()).map(|(to, _)| *to) {
            let (input, bytes) = self.queues.get_mut(&to).unwrap().pop_front().unwrap();
            let mut outcome = self.call(to, FlinkCall::Element(input, &bytes));
            while outcome.more {
                outcome = self.call(to, FlinkCall::Resume);
            }
        }
    }

    /// Resumes every subtask once and brings what comes of it; whether all have ended.
    fn step(&mut self) -> bool {
        let all: Vec<_> = self.subtasks.keys().copied().collect();
        let ended = all.into_iter().map(|subtask| self.call(subtask, FlinkCall::Resume).ended);
        let ended = ended.fold(true, |all, ended| all & ended);
        self.drain();
        ended
    }

    fn run_to_the_end(&mut self) {
        assert!((0..100_000).any(|_| self.step()), "the job does not end");
    }

    /// All queues are empty, so the barrier has come everywhere.
    fn checkpoint(&mut self, id: u64) -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        let all: Vec<_> = self.subtasks.keys().copied().collect();
        for (stage, subtask) in all {
            let mut outcome = self.call((stage, subtask), FlinkCall::Prepare(id));
            while !outcome.prepared {
                outcome = self.call((stage, subtask), FlinkCall::Resume);
            }
            self.drain();
            let frozen = self.subtasks.get_mut(&(stage, subtask)).unwrap().take_frozen(id).unwrap();
            let lists = frozen.lists();
            let items = WireReader(&lists).list(|lists| lists.bytes().map(<[u8]>::to_vec)).unwrap();
            checkpoint.lists.entry(stage).or_default().extend(items);
            let folder = self.folder.path().join(format!("chk-{id}-{stage}-{subtask}"));
            std::fs::create_dir_all(&folder).unwrap();
            let written = frozen.write(&folder).unwrap();
            let manifest = WireReader(&written).bytes().unwrap().to_vec();
            checkpoint.keyed.entry(stage).or_default().push((manifest, folder.display().to_string()));
        }
        checkpoint
    }

    fn close(self) -> tempfile::TempDir {
        self.subtasks.into_values().for_each(StageSubtask::close);
        self.folder
    }
}

fn expected() -> Vec<(i64, i64, u64)> {
    let mut all: Vec<_> =
        (0..10).flat_map(|key| (0..5).map(move |second| (key, second * 1000, 100))).collect();
    all.sort_unstable();
    all
}

fn sorted(results: &Counts) -> Vec<(i64, i64, u64)> {
    let mut all = results.take();
    all.sort_unstable();
    all
}

#[test]
fn a_bounded_job_gives_what_it_gives_in_one_process() {
    for parallelism in [1, 2, 3] {
        let results = Counts::default();
        let mut cluster = Cluster::start(counting(&results), parallelism, None);
        cluster.run_to_the_end();
        cluster.close();
        assert_eq!(sorted(&results), expected(), "at parallelism {parallelism}");
    }
}

#[test]
fn a_job_goes_on_from_a_checkpoint_at_another_parallelism() {
    for (before, after) in [(1, 2), (2, 1), (2, 3)] {
        let results = Counts::default();
        let mut cluster = Cluster::start(counting(&results), before, None);
        cluster.step();
        cluster.step();
        let checkpoint = cluster.checkpoint(1);
        let until_then = results.take();
        cluster.step();
        let folder = cluster.close();
        results.take();
        let mut cluster = Cluster::start(counting(&results), after, Some(&checkpoint));
        cluster.run_to_the_end();
        cluster.close();
        drop(folder);
        let mut all = [until_then, results.take()].concat();
        all.sort_unstable();
        assert_eq!(all, expected(), "from parallelism {before} to {after}");
    }
}

#[test]
fn an_element_for_another_subtask_is_refused() {
    let results = Counts::default();
    let mut cluster = Cluster::start(counting(&results), 2, None);
    let to = Address { edge: 0, upstream: 0, route: 1, routes: 2 };
    let element = element::of_watermark(to, WatermarkEvent::Watermark(5));
    let subtask = cluster.subtasks.get_mut(&(1, 0)).unwrap();
    let refused = subtask.call(FlinkCall::Element(0, &element)).unwrap_err();
    assert!(refused.chain().contains("came to subtask 0 of 2"), "{}", refused.chain());
    let again = subtask.call(FlinkCall::Resume).unwrap_err();
    assert!(again.chain().contains("has failed before"), "{}", again.chain());
    cluster.close();
}

#[test]
fn an_empty_assignment_ends_a_reader_that_is_told_that_nothing_follows() {
    let results = Counts::default();
    let mut cluster = Cluster::start(counting(&results), 1, None);
    let last = Assignment { subtask: 0, splits: Vec::new(), last: true };
    cluster.call((0, 0), FlinkCall::Assign(&encode_assignment(&last)));
    cluster.run_to_the_end();
    cluster.close();
    assert_eq!(sorted(&results), expected());
}

/// Needs several calls to prepare a checkpoint, as a sink that waits for its store.
struct Slow {
    calls: u32,
}

impl Operator for Slow {
    type In = i64;
    type Out = i64;

    fn rows(&mut self, _: &mut Context<'_>, rows: &mut Rows<i64>, out: &mut Output<i64>) -> Result<Step> {
        rows.append_to(&mut out.rows);
        Ok(Step::DONE)
    }

    fn prepare(&mut self, _: &mut Context<'_>, _: CheckpointId, _: &mut Output<i64>) -> Result<Step> {
        self.calls += 1;
        Ok(if self.calls.is_multiple_of(3) { Step::DONE } else { Step::MORE })
    }
}

#[test]
fn a_checkpoint_is_prepared_whatever_becomes_of_later_ones() {
    let build = |_: &NoOptions, env: &Environment| {
        let numbers = env.source("numbers", Collection::of([1_i64]));
        numbers.transform("slow", || Slow { calls: 0 }).sink_to("results", Collected::default());
        Ok(())
    };
    let mut cluster = Cluster::start(Box::new(App::new("slow").program(build)), 1, None);
    let source = (0, 0);
    // A savepoint is begun before the checkpoint is complete, and both are given up.
    assert!(!cluster.call(source, FlinkCall::Prepare(1)).prepared);
    cluster.call(source, FlinkCall::Aborted(1));
    cluster.call(source, FlinkCall::Aborted(2));
    assert!((0..10).any(|_| cluster.call(source, FlinkCall::Resume).prepared));
    cluster.subtasks.get_mut(&source).unwrap().take_frozen(1).unwrap();
    // The later one is given up before the barrier of the earlier one has come.
    cluster.call(source, FlinkCall::Aborted(4));
    cluster.call(source, FlinkCall::Prepare(3));
    assert!((0..10).any(|_| cluster.call(source, FlinkCall::Resume).prepared));
    cluster.close();
}
