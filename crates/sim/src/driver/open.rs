//! Opens all subtasks of a simulated job and lays the channels between them.

use std::sync::Arc;

use millstream_protocol::job_snapshot::JobSnapshot;
use millstream_protocol::layout;
use millstream_protocol::layout::{ChannelSpec, SubtaskId};
use millstream_protocol::subtask::SubtaskProtocol;
use millstream_record::Result;
use millstream_stage::plan::{EdgeSpec, Plan};
use millstream_stage::snapshot::Restored;

use super::broken::{Broken, without_watermarks};
use super::channel::Target;
use super::subtask::{Route, Subtask};
use crate::driven_stage::DrivenStage;
use crate::harness::Harness;
use crate::world::{Simulated, World};

/// What all subtasks of an attempt share.
pub(super) struct Ground<'a> {
    pub(super) plan: &'a Plan,
    pub(super) world: &'a Arc<Simulated>,
    pub(super) epoch: u64,
    pub(super) from: Option<&'a JobSnapshot>,
    pub(super) broken: Option<Broken>,
}

impl Ground<'_> {
    /// Opens a subtask; `budget` is what one of its calls may do.
    pub(super) fn open(&self, places: &[SubtaskId], place: SubtaskId, budget: usize) -> Result<Subtask> {
        let spec = &self.plan.stages[place.stage as usize];
        let name = format!("{} {}/{}", spec.name, place.subtask + 1, spec.parallelism);
        let stage = DrivenStage::open(spec.make.as_ref(), self.harness(place, budget)?);
        let stage = stage.map_err(|error| error.in_context(&name))?;
        let feeds: Vec<_> = layout::channels(self.plan, place).iter().map(|channel| channel.input).collect();
        let count = layout::inputs(self.plan, place.stage);
        let is_source = spec.enumerator.is_some();
        let protocol = SubtaskProtocol::new(count, &feeds, is_source, true);
        let protocol = protocol.breaking(self.broken.and_then(Broken::protocol));
        Ok(Subtask::new(place, name, stage, protocol, feeds.len(), self.routes(places, place)))
    }

    fn harness(&self, place: SubtaskId, budget: usize) -> Result<Harness> {
        let restored = self.from.map_or_else(Restored::default, |from| from.restored(self.plan, place));
        let forgets = self.broken == Some(Broken::WatermarkNotRestored);
        let restored = if forgets { without_watermarks(restored)? } else { restored };
        let stages = &self.plan.stages;
        let routes = self.plan.outputs(place.stage);
        let routes = routes.map(|(id, edge)| (id, stages[edge.to as usize].parallelism)).collect();
        let world = Arc::<Simulated>::clone(self.world) as Arc<dyn World>;
        let harness = Harness::new(world)
            .subtask(place.subtask, stages[place.stage as usize].parallelism)
            .key_groups(self.plan.key_groups)
            .epoch(self.epoch)
            .routes(routes)
            .budget(budget)
            .restored(restored);
        Ok(harness)
    }

    fn routes(&self, places: &[SubtaskId], from: SubtaskId) -> Vec<Route> {
        let route = |(edge, spec): (_, &EdgeSpec)| {
            let target = |subtask| {
                let to = SubtaskId { stage: spec.to, subtask };
                let leads_here =
                    |channel: &ChannelSpec| channel.edge == edge && channel.upstream == from.subtask;
                let channel = layout::channels(self.plan, to).iter().position(leads_here)?;
                Some(Target { subtask: places.iter().position(|place| *place == to)?, channel })
            };
            let routes = 0..self.plan.stages[spec.to as usize].parallelism;
            Route { edge, targets: routes.map(target).collect() }
        };
        self.plan.outputs(from.stage).map(route).collect()
    }
}
