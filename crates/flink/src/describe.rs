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
        Exchange::Forward | Exchange::Rebalance => 2,
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
