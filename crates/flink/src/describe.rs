//! The plan as the harness needs it to build Flink's graph.

use millstream_protocol::checkpoint_options::CheckpointingMode;
use millstream_protocol::job_settings::BackendKind;
use millstream_record::{Error, Result};
use millstream_stage::plan::{EdgeSpec, Exchange, Plan, StageId, StageSpec};

use crate::program::{Job, Loaded, Program};
use crate::settings::flink_configuration;
use crate::wire::WireWriter;

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
    out.text(&stage.name);
    // The first operator's name is unique in the plan, and it stays when operators are added behind it.
    out.text(stage.operators.first().map_or(&stage.name, |operator| &operator.name));
    out.int(stage.parallelism);
    out.bool(stage.enumerator.is_some());
    out.bool(plan.inputs(id).any(|(_, edge)| edge.exchange == Exchange::Hash));
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
    use millstream_api::Environment;
    use millstream_cli::{App, NoOptions};
    use millstream_operators::collection::{Collected, Collection};

    use super::*;

    fn numbers() -> Box<dyn Program> {
        let build = |_: &NoOptions, env: &Environment| {
            env.source("numbers", Collection::of([1_i64])).sink_to("results", Collected::default());
            Ok(())
        };
        Box::new(App::new("numbers").program(build))
    }

    fn described(config: &str) -> Result<String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("job.yaml");
        std::fs::write(&file, config).unwrap();
        let args = vec!["--config".to_owned(), file.display().to_string()];
        describe(numbers().as_ref(), args).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
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
    }

    #[test]
    fn keys_that_mean_nothing_in_flink_are_told() {
        let told = described(&format!("{CHECKPOINTS}rest.port: 8081\njob.dir: here\n")).unwrap();
        assert!(told.contains("rest.port has no effect in Flink"), "{told}");
        assert!(told.contains("job.dir has no effect in Flink"), "{told}");
        assert!(!described(CHECKPOINTS).unwrap().contains("has no effect"));
    }
}
