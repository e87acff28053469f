//! Items that were not acknowledged, as part of a snapshot.
//!
//! A restored item keeps the version it had. Every write of the new attempt is above it, whichever subtask
//! writes it, so that the items can be dealt to any number of subtasks: one that is sent late is refused and
//! does no harm.

use std::sync::Arc;

use millstream_record::{Error, Result};
use millstream_stage::OpenContext;
use millstream_stage::snapshot::{OperatorList, Redistribute};

use super::Delivery;
use crate::item::Item;
use crate::pending_item::PendingItem;
use crate::store::{Restoring, Store};

/// The name of the state.
const STATE: &str = "unacknowledged";

impl<S: Store> Delivery<S> {
    /// Takes back what an earlier attempt had not delivered.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](millstream_record::ErrorKind::Data) when it is damaged;
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) when it is not from an
    /// earlier attempt: what this attempt writes would be refused as too old.
    pub(super) fn restore(&mut self, cx: &mut OpenContext) -> Result<()> {
        let frozen = cx.restored.take_list(&self.operator, STATE);
        let mut items = Vec::new();
        for item in &frozen {
            let (item, version) = self.store.thaw(item).map_err(|error| error.in_context(STATE))?;
            if version.epoch() >= cx.epoch && self.store.restoring() == Restoring::Resend {
                return Err(not_earlier(version.epoch(), cx.epoch));
            }
            match self.store.restoring() {
                Restoring::AtStart => items.push(item),
                Restoring::Resend => {
                    self.buffer.insert(PendingItem::restored(item, version, cx.clock.nanos()));
                }
            }
        }
        if !items.is_empty() {
            self.start.restored = Arc::new(items);
            self.start.frozen = frozen;
        }
        Ok(())
    }

    /// What was not acknowledged: the newest item of each id.
    pub(crate) fn freeze(&self) -> OperatorList {
        let mut newest: Vec<_> = self.buffer.newest().collect();
        newest.sort_unstable_by_key(|item| item.version);
        let held = self.start.frozen.iter().cloned();
        OperatorList {
            operator: self.operator.clone(),
            state: STATE.to_owned(),
            items: held
                .chain(newest.into_iter().map(|pending| pending.item.freeze(pending.version)))
                .collect(),
            redistribute: match self.store.restoring() {
                Restoring::Resend => Redistribute::Split,
                Restoring::AtStart => Redistribute::Union,
            },
        }
    }
}

fn not_earlier(of_item: u64, epoch: u64) -> Error {
    Error::configuration(format!(
        "the snapshot holds a write of epoch {of_item}, but this attempt's epoch is {epoch}: it must be higher. Start the job with the \
         directory in which its epochs are counted"
    ))
}
