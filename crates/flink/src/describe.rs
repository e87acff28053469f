//! The plan as the harness needs it to build Flink's graph.

use std::collections::HashSet;

use millstream_checkpoint::flink_form::SPLITS_SUFFIX;
use millstream_checkpoint::wire::WireWriter;
use millstream_protocol::checkpoint_options::CheckpointingMode;
use millstream_protocol::job_settings::BackendKind;
use millstream_record::{Error, Result};
use millstream_stage::plan::{EdgeSpec, Exchange, Plan, StageId, StageSpec};

use crate::program::{Job, Loaded, Program};
use crate::settings::flink_configuration;

const MOST_KEY_GROUPS: u16 = 1 << 15;

/// Describes the job of these arguments.
pub(crate) fn describe(program: &dyn Program, args: Vec<String>) -> Result<Vec<u8>> {
    let job = Job::of_args(args)?;
    let loaded = job.load(program)?;
    refuse(&loaded)?;
    let plan = &loaded.plan;
    let (configuration, mut notes) = flink_configuration(&loaded.settings)?;
    notes.extend(loaded.ignored.iter().map(|key| format!("{key} has no effect in Flink")));
    notes.extend(plan.warnings());
    let mut out = WireWriter::default();
    out.text(&plan.name);
    out.int(plan.key_groups);
    out.bytes(&job.encode());
    out.list(&configuration, |out, (key, value)| {
        out.text(key);
        out.text(value);
    });
    out.list(&notes, |out, note| out.text(note));
    out.text(if loaded.settings.backend.kind == BackendKind::RocksDb { "rocksdb" } else { "heap" });
    out.list(stages(plan), |out, (id, stage)| describe_stage(out, plan, id, stage));
    out.list(&plan.edges, describe_edge);
    Ok(out.0)
}

fn stages(plan: &Plan) -> Vec<(StageId, &StageSpec)> {
    (0..).zip(&plan.stages).collect()
}

fn describe_stage(out: &mut WireWriter, plan: &Plan, id: StageId, stage: &StageSpec) {
    let uid = uid(plan, id);
    out.text(if stage.operators.is_empty() { &uid } else { &stage.name });
    out.text(&uid);
    out.int(stage.parallelism);
    out.text(&reader_uid(stage, &uid).unwrap_or_default());
    out.bool(plan.inputs(id).any(|(_, edge)| edge.exchange == Exchange::Hash));
}

/// The first operator's name is unique in the plan, and it stays when operators are added behind it. A stage
/// without operators only joins or deals out streams: it goes by the stage that it leads to.
fn uid(plan: &Plan, id: StageId) -> String {
    let next = || plan.edges.iter().find(|edge| edge.from == id);
    match (plan.stages[id as usize].operators.first(), next()) {
        (Some(operator), _) => operator.name.clone(),
        (None, Some(edge)) => format!("input {} of {}", edge.input + 1, uid(plan, edge.to)),
        (None, None) => format!("stage {id}"),
    }
}

/// The uid of the part of a source that brings its splits to the stage.
fn reader_uid(stage: &StageSpec, uid: &str) -> Option<String> {
    stage.enumerator.is_some().then(|| format!("{uid}{SPLITS_SUFFIX}"))
}

// Flink finds state by these, and would only say that two hashes collide.
fn refuse_equal_uids(plan: &Plan) -> Result<()> {
    let uids = stages(plan).into_iter().flat_map(|(id, stage)| {
        let uid = uid(plan, id);
        [reader_uid(stage, &uid), Some(uid)]
    });
    let mut taken = HashSet::new();
    match uids.flatten().find(|uid| !taken.insert(uid.clone())) {
        None => Ok(()),
        Some(uid) => Err(Error::configuration(format!(
            "rename the operator {uid:?}: in Flink, a part of the pipeline that has no name of its own gets this one"
        ))),
    }
}

fn describe_edge(out: &mut WireWriter, edge: &EdgeSpec) {
    out.int(edge.from as i32);
    out.int(edge.to as i32);
    out.int(edge.input);
    out.byte(match edge.exchange {
        Exchange::Hash => 0,
        // Flink's own forward partitioning wants the same parallelism on both sides, and a job may be rescaled.
        Exchange::Forward | Exchange::Rebalance => 1,
    });
}

fn refuse(loaded: &Loaded) -> Result<()> {
    millstream_protocol::layout::validate(&loaded.plan)?;
    refuse_equal_uids(&loaded.plan)?;
    if loaded.plan.key_groups > MOST_KEY_GROUPS {
        return Err(Error::configuration(format!(
            "pipeline.max-parallelism is {}, and Flink has at most {MOST_KEY_GROUPS} key groups",
            loaded.plan.key_groups
        )));
    }
    if loaded.settings.checkpoints_dir.is_none() {
        return Err(Error::configuration(
            "a job in Flink needs execution.checkpointing.dir (or state.checkpoints.dir) in its file: each attempt is numbered there, \
             so that an older one which still writes is refused by the stores",
        ));
    }
    if loaded.settings.checkpointing.interval.is_none() {
        return Err(Error::configuration(
            "a job in Flink needs execution.checkpointing.interval, such as 10s: without checkpoints Flink commits nothing, not even \
             at the end of the input",
        ));
    }
    if loaded.settings.checkpointing.mode != CheckpointingMode::ExactlyOnce {
        return Err(Error::configuration(
            "execution.checkpointing.mode must be EXACTLY_ONCE in Flink: the rules of a stage rely on aligned barriers",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use millstream_api::{DataStream, Environment};
    use millstream_cli::{App, NoOptions};
    use millstream_operators::collection::{Collected, Collection};

    use super::*;

    fn program(build: impl Fn(&Environment) + Send + Sync + 'static) -> Box<dyn Program> {
        let build = move |_: &NoOptions, env: &Environment| {
            build(env);
            Ok(())
        };
        Box::new(App::new("numbers").program(build))
    }

    fn numbers(env: &Environment) -> DataStream<i64> {
        env.source("numbers", Collection::of([1_i64]))
    }

    fn described(config: &str) -> Result<String> {
        let simple = program(|env| drop(numbers(env).sink_to("results", Collected::default())));
        described_program(simple.as_ref(), config)
    }

    fn described_program(program: &dyn Program, config: &str) -> Result<String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("job.yaml");
        std::fs::write(&file, config).unwrap();
        let args = vec!["--config".to_owned(), file.display().to_string()];
        describe(program, args).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    const CHECKPOINTS: &str =
        "execution.checkpointing.interval: 1s\nstate.checkpoints.dir: file:///tmp/none\n";

    #[test]
    fn what_cannot_work_in_flink_is_refused_before_anything_runs() {
        let refused = |config: &str| described(config).unwrap_err().chain();
        assert!(refused("").contains("needs execution.checkpointing.dir"));
        assert!(
            refused("state.checkpoints.dir: file:///tmp/none")
                .contains("needs execution.checkpointing.interval")
        );
        let once = format!("{CHECKPOINTS}execution.checkpointing.mode: AT_LEAST_ONCE");
        assert!(refused(&once).contains("must be EXACTLY_ONCE"));
        assert!(refused("no-such-key: 1").contains("no-such-key"));
        let groups = format!("{CHECKPOINTS}pipeline.max-parallelism: 40000");
        assert!(refused(&groups).contains("at most 32768"));
    }

    #[test]
    fn keys_that_mean_nothing_in_flink_are_told() {
        let told = described(&format!("{CHECKPOINTS}rest.port: 8081\njob.dir: here\n")).unwrap();
        assert!(told.contains("rest.port has no effect in Flink"), "{told}");
        assert!(told.contains("job.dir has no effect in Flink"), "{told}");
        assert!(!described(CHECKPOINTS).unwrap().contains("has no effect"));
    }

    #[test]
    fn stages_without_operators_have_uids_of_their_own() {
        let plan = |env: &Environment| {
            let (numbers, results) = (numbers(env), Collected::default());
            let twice = numbers.union(&[&numbers]).rebalance();
            twice.union(&[&numbers.rebalance()]).sink_to("results", results);
            env.plan().unwrap()
        };
        let plan = plan(&Environment::new("unions"));
        let uids: Vec<_> = (0..plan.stages.len() as StageId).map(|id| uid(&plan, id)).collect();
        let results = "results".to_owned();
        assert_eq!(uids.first().map(String::as_str), Some("numbers"));
        assert!(uids.contains(&results), "{uids:?}");
        assert!(uids.contains(&"input 1 of results".to_owned()), "{uids:?}");
        assert!(uids.contains(&"input 2 of results".to_owned()), "{uids:?}");
        assert!(uids.contains(&"input 1 of input 1 of results".to_owned()), "{uids:?}");
        refuse_equal_uids(&plan).unwrap();
    }

    #[test]
    fn an_operator_with_the_name_of_a_nameless_part_is_refused() {
        let taken = program(|env| {
            let doubled = numbers(env).rebalance().map("numbers-splits", |number| number * 2);
            doubled.sink_to("results", Collected::default());
        });
        let refused = described_program(taken.as_ref(), CHECKPOINTS).unwrap_err().chain();
        assert!(refused.contains("rename the operator \"numbers-splits\""), "{refused}");
    }
}
