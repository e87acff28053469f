//! Deals out the splits of the source below, with room for what is being shuffled.

use std::collections::BTreeMap;

use millstream_record::Result;
use millstream_record::record::to_bytes;
use millstream_stage::source::{
    Assignment, Enumerator, EnumeratorContext, EnumeratorEvent, Split, split_state,
};
use millstream_stage::split::SplitId;

use super::shuffle::BEFORE_ALL;
use super::split::ReplaySplit;

/// One per job.
pub(crate) struct ReplayEnumerator {
    inner: Box<dyn Enumerator>,
}

impl ReplayEnumerator {
    pub(crate) fn new(inner: Box<dyn Enumerator>) -> Self {
        Self { inner }
    }
}

impl Enumerator for ReplayEnumerator {
    fn on(&mut self, cx: &EnumeratorContext, event: EnumeratorEvent) -> Result<Vec<Assignment>> {
        let mut known = BTreeMap::new();
        let event = match event {
            EnumeratorEvent::Returned { splits } => {
                EnumeratorEvent::Returned { splits: unwrap(splits, &mut known)? }
            }
            other => other,
        };
        let mut assignments = self.inner.on(cx, event)?;
        for split in assignments.iter_mut().flat_map(|assignment| &mut assignment.splits) {
            let inner = std::mem::take(&mut split.state);
            let state = known.remove(&split.id).unwrap_or(NEW);
            split.state = to_bytes(&ReplaySplit { inner, ..state });
        }
        Ok(assignments)
    }

    fn tick_every(&self) -> Option<std::time::Duration> {
        self.inner.tick_every()
    }

    fn assigns_on_demand(&self) -> bool {
        self.inner.assigns_on_demand()
    }

    fn snapshot(&self) -> Vec<u8> {
        self.inner.snapshot()
    }
}

const NEW: ReplaySplit = ReplaySplit {
    inner: Vec::new(),
    read: false,
    given: 0,
    newest: BEFORE_ALL,
    ready: Vec::new(),
    pending: Vec::new(),
};

fn unwrap(splits: Vec<Split>, known: &mut BTreeMap<SplitId, ReplaySplit>) -> Result<Vec<Split>> {
    let unwrap_one = |split: Split| {
        let mut state: ReplaySplit = split_state(&split)?;
        let inner = std::mem::take(&mut state.inner);
        known.insert(split.id.clone(), state);
        Ok(Split { id: split.id, state: inner })
    };
    splits.into_iter().map(unwrap_one).collect()
}
