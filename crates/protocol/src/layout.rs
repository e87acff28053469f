//! Which subtasks a plan runs as, and which channels connect them.

use millstream_record::{Error, Result};
use millstream_stage::batch::EdgeId;
use millstream_stage::plan::{EdgeSpec, Exchange, Plan, StageId};
use millstream_stage::stage::InputId;

/// One subtask: its stage and its number in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubtaskId {
    /// The stage.
    pub stage: StageId,
    /// Its number among the stage's subtasks.
    pub subtask: u16,
}

/// One channel that enters a subtask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelSpec {
    /// The exchange that it belongs to.
    pub edge: EdgeId,
    /// The subtask that it comes from.
    pub upstream: u16,
    /// The input that it feeds.
    pub input: InputId,
}

/// All subtasks, stage by stage.
pub fn subtasks(plan: &Plan) -> Vec<SubtaskId> {
    let stages = (0..).zip(&plan.stages);
    stages
        .flat_map(|(stage, spec)| (0..spec.parallelism).map(move |subtask| SubtaskId { stage, subtask }))
        .collect()
}

/// The channels that enter a subtask, in the order of its channels.
pub fn channels(plan: &Plan, place: SubtaskId) -> Vec<ChannelSpec> {
    let mut channels = Vec::new();
    for (edge, spec) in plan.inputs(place.stage) {
        let upstream = 0..plan.stages[spec.from as usize].parallelism;
        let connected = upstream.filter(|upstream| connects(plan, spec, *upstream, place.subtask));
        channels.extend(connected.map(|upstream| ChannelSpec { edge, upstream, input: spec.input }));
    }
    channels
}

/// Whether an edge has a channel between these two subtasks.
pub fn connects(plan: &Plan, edge: &EdgeSpec, upstream: u16, downstream: u16) -> bool {
    let routes = plan.stages[edge.to as usize].parallelism;
    edge.exchange != Exchange::Forward || upstream % routes == downstream
}

/// How many inputs a stage has.
pub fn inputs(plan: &Plan, stage: StageId) -> InputId {
    plan.inputs(stage).map(|(_, edge)| edge.input + 1).max().unwrap_or(0)
}

/// Refuses a plan that no driver could run.
pub fn validate(plan: &Plan) -> Result<()> {
    for (id, stage) in (0..).zip(&plan.stages) {
        if stage.parallelism == 0 || stage.parallelism > plan.key_groups {
            return Err(Error::configuration(format!(
                "stage `{}` has parallelism {}: it must be between 1 and the number of key groups, {}",
                stage.name, stage.parallelism, plan.key_groups
            )));
        }
        if stage.enumerator.is_some() == plan.inputs(id).next().is_some() {
            return Err(Error::bug(format!("stage `{}` needs either a source or inputs", stage.name)));
        }
    }
    let stages = plan.stages.len() as StageId;
    if plan.edges.iter().any(|edge| edge.from >= edge.to || edge.to >= stages) {
        return Err(Error::bug("an edge of the plan does not lead to a later stage"));
    }
    Ok(())
}
