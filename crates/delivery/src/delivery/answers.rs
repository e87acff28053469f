//! What becomes of items when an answer has come.

use std::collections::BTreeMap;
use std::mem;
use std::time::Duration;

use millstream_record::{Error, Result};
use millstream_stage::dead_letter::DeadLetter;
use millstream_stage::time::{Nanos, nanos};
use millstream_stage::trouble::rounded;
use millstream_stage::{Context, Rows};

use super::Delivery;
use crate::buffer::SlotId;
use crate::item::Item;
use crate::pending_item::PendingItem;
use crate::store::{Reply, Store, Verdict};
use crate::suspects::Tally;

/// Halving finds one item that spoils a request in fewer steps than this; more without a success between them
/// are taken slowly.
const HALVED_IN_VAIN: u32 = 20;

/// Items that are to be sent again.
#[derive(Default)]
struct Again {
    slots: Vec<SlotId>,
    overloaded: usize,
    reason: String,
    /// One that nothing speaks against or for: nothing else of its place was written since it was first
    /// refused.
    in_doubt: Option<SlotId>,
}

impl<S: Store> Delivery<S> {
    pub(super) fn answered(
        &mut self,
        cx: &Context<'_>,
        request: u64,
        reply: Reply,
        dead: &mut Rows<DeadLetter>,
    ) -> Result<()> {
        let Some(slots) = self.in_flight.remove(&request) else {
            return Err(Error::bug(format!("request {request} was answered twice")));
        };
        match reply {
            Reply::Items(verdicts) if verdicts.len() == slots.len() => self.settle(cx, slots, verdicts, dead),
            Reply::Items(verdicts) => {
                let reason =
                    format!("an answer for {} items to a request of {}", verdicts.len(), slots.len());
                self.send_again(&reason, false, slots, cx.nanos())
            }
            Reply::Wait { reason, overloaded } => self.send_again(&reason, overloaded, slots, cx.nanos()),
            Reply::Halve(alone) => self.halve(cx, slots, alone, dead),
            Reply::Stop(error) if self.may_pass(&error) => {
                self.send_again(&error.chain(), false, slots, cx.nanos())
            }
            Reply::Stop(error) => Err(error.in_operator(&self.operator)),
        }
    }

    // All items of the request go back to where they came from, in their order.
    fn send_again(&mut self, reason: &str, overloaded: bool, slots: Vec<SlotId>, now: Nanos) -> Result<()> {
        self.pace.failed(now);
        self.meters.failed(now, reason);
        self.meters.count_retries(slots.len(), if overloaded { slots.len() } else { 0 });
        for slot in slots.into_iter().rev() {
            self.failed_again(slot, reason, now)?;
            self.buffer.put_back(slot);
        }
        Ok(())
    }

    fn halve(
        &mut self,
        cx: &Context<'_>,
        mut slots: Vec<SlotId>,
        alone: Verdict,
        dead: &mut Rows<DeadLetter>,
    ) -> Result<()> {
        if slots.len() == 1 {
            return self.settle(cx, slots, vec![alone], dead);
        }
        tracing::debug!(operator = %self.operator, reason = ?alone, items = slots.len(), "a request is halved");
        self.pace.too_large();
        if let Verdict::Unclear(reason) = &alone {
            self.halves_in_doubt(&slots, reason, cx.nanos());
        }
        self.halves.push(slots.split_off(slots.len() / 2));
        self.halves.push(slots);
        Ok(())
    }

    // One of them is at fault, or the store refuses everything: the halves will tell, at leisure if none of
    // them passes.
    fn halves_in_doubt(&mut self, slots: &[SlotId], reason: &str, now: Nanos) {
        const IN_DOUBT: Tally = Tally { written: 0, unclear: 1 };
        for slot in slots {
            let pending = self.buffer.sent_mut(*slot);
            pending.suspicion.begin(now);
            self.suspects.note(pending.item.place(), IN_DOUBT, now);
        }
        self.halved_in_vain = self.halved_in_vain.saturating_add(1);
        if self.halved_in_vain >= HALVED_IN_VAIN {
            self.meters.failed(now, reason);
            self.pace.failed(now);
        }
    }

    fn settle(
        &mut self,
        cx: &Context<'_>,
        slots: Vec<SlotId>,
        verdicts: Vec<Verdict>,
        dead: &mut Rows<DeadLetter>,
    ) -> Result<()> {
        let (now, items) = (cx.nanos(), slots.len());
        self.note_suspects(&slots, &verdicts, now);
        let mut again = Again::default();
        let mut written = Vec::with_capacity(slots.len());
        for (slot, verdict) in slots.into_iter().zip(verdicts) {
            match verdict {
                Verdict::Written => written.push(slot),
                Verdict::Stale => {
                    self.stale(slot);
                    written.push(slot);
                }
                Verdict::Refused(reason) => self.bury(cx, slot, &reason, dead),
                Verdict::Unclear(reason) if self.is_at_fault(slot, now) => self.bury(cx, slot, &reason, dead),
                Verdict::Unclear(reason) => {
                    self.keep(slot, &reason, false, &mut again, now)?;
                    let pending = self.buffer.sent(slot);
                    if !self.suspects.others_pass(pending.item.place(), &pending.suspicion) {
                        again.in_doubt = Some(slot);
                    }
                }
                Verdict::Wait { reason, overloaded } => {
                    self.keep(slot, &reason, overloaded, &mut again, now)?;
                }
                Verdict::Stop(error) => {
                    let title = self.buffer.sent(slot).item.title();
                    return Err(error.in_context(title).in_operator(&self.operator));
                }
            }
        }
        self.acknowledge(&written, now);
        self.adapt(again.slots.len() < items, again.overloaded > 0, now);
        self.defer(again, now);
        Ok(())
    }

    fn acknowledge(&mut self, written: &[SlotId], now: Nanos) {
        self.meters.acknowledged(&self.buffer, written, now);
        for slot in written {
            self.meters.done_with(self.buffer.sent(*slot).tries);
            let PendingItem { item, version, .. } = self.buffer.settle(*slot, now);
            self.witness = Some((item, version));
        }
        if !written.is_empty() {
            self.halved_in_vain = 0;
            self.meters.succeeded(now);
        }
        if self.buffer.is_empty() {
            self.suspects.clear();
        }
    }

    // Only what is refused costs a look at places: nothing per item while all is well.
    fn note_suspects(&mut self, slots: &[SlotId], verdicts: &[Verdict], now: Nanos) {
        let unclear = |verdict: &Verdict| matches!(verdict, Verdict::Unclear(_));
        if self.suspects.is_empty() && !verdicts.iter().any(unclear) {
            return;
        }
        let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
        for (slot, verdict) in slots.iter().zip(verdicts) {
            let tally = tallies.entry(self.buffer.sent(*slot).item.place()).or_default();
            tally.written += usize::from(matches!(verdict, Verdict::Written | Verdict::Stale));
            tally.unclear += usize::from(unclear(verdict));
        }
        for (place, tally) in tallies {
            self.suspects.note(place, tally, now);
        }
    }

    fn is_at_fault(&mut self, slot: SlotId, now: Nanos) -> bool {
        let pending = self.buffer.sent_mut(slot);
        self.suspects.refused(pending.item.place(), &mut pending.suspicion, now)
    }

    fn keep(
        &mut self,
        slot: SlotId,
        reason: &str,
        overloaded: bool,
        again: &mut Again,
        now: Nanos,
    ) -> Result<()> {
        self.failed_again(slot, reason, now)?;
        again.overloaded += usize::from(overloaded);
        if again.slots.is_empty() {
            again.reason = format!("{}: {reason}", self.buffer.sent(slot).item.title());
        }
        again.slots.push(slot);
        Ok(())
    }

    // A request without any success says nothing about the store's strength: only a part of it may be in
    // trouble.
    fn adapt(&mut self, something_passed: bool, overloaded: bool, now: Nanos) {
        match () {
            () if overloaded => self.pace.slow_down(),
            () if something_passed => self.pace.succeeded(),
            () if self.halved_in_vain >= HALVED_IN_VAIN => self.pace.failed(now),
            () => {}
        }
    }

    // Only these items wait; what goes to other places goes on meanwhile.
    fn defer(&mut self, mut again: Again, now: Nanos) {
        if again.slots.is_empty() {
            return;
        }
        again.slots.extend(again.in_doubt.and_then(|slot| self.call_witness(slot, now)));
        self.meters.failed(now, &again.reason);
        self.meters.count_retries(again.slots.len(), again.overloaded);
        let tries = again.slots.iter().map(|slot| self.buffer.sent(*slot).tries).max().unwrap_or(1);
        let pause = self.pace.delay(tries);
        self.requests += 1;
        self.later.insert((now + nanos(pause), self.requests), again.slots);
    }

    // Nothing new may come that could tell whose fault it is. What is in the store already can be written
    // once more: it changes nothing.
    fn call_witness(&mut self, in_doubt: SlotId, now: Nanos) -> Option<SlotId> {
        let place = self.buffer.sent(in_doubt).item.place();
        let (item, version) = self.witness.take_if(|(item, _)| item.place() == place)?;
        self.buffer.insert_taken(PendingItem::restored(item, version, now))
    }

    fn failed_again(&mut self, slot: SlotId, reason: &str, now: Nanos) -> Result<()> {
        let pending = self.buffer.sent_mut(slot);
        if pending.tries == 0 {
            pending.failed_at = now;
            self.meters.begins_to_fail();
        }
        pending.tries = pending.tries.saturating_add(1);
        match self.limits.give_up {
            Some(limit) if Duration::from_nanos(now.saturating_sub(pending.failed_at)) > limit => {
                Err(Error::restart(format!(
                    "{} could not be written for {} ({}): {reason}",
                    pending.item.title(),
                    rounded(limit),
                    self.names.give_up
                )))
            }
            _ => Ok(()),
        }
    }

    fn bury(&mut self, cx: &Context<'_>, slot: SlotId, reason: &str, dead: &mut Rows<DeadLetter>) {
        let pending = self.buffer.sent(slot);
        let reason = format!("{}: {reason}", pending.item.title());
        self.meters.done_with(pending.tries);
        self.refuse(pending.item.value(), cx.now(), &reason, dead);
        self.buffer.settle(slot, cx.nanos());
        // The store answers, and nothing else may be left to say so.
        self.meters.succeeded(cx.nanos());
    }

    // No id is twice on its way, and a repeated item may meet itself: any other conflict has another writer
    // behind it.
    fn stale(&mut self, slot: SlotId) {
        self.meters.stale.add(1);
        let pending = self.buffer.sent(slot);
        let own = pending.tries > 0 || pending.rows == 0;
        if !own && !mem::replace(&mut self.warned_of_conflict, true) {
            tracing::warn!(
                operator = %self.operator, item = %pending.item.title(), counter = self.names.stale,
                "{} holds a newer version of an item: a newer attempt of this job runs, or another job or subtask writes the same ids, or the \
                 job's directory (where epochs are counted) was lost. This is logged once; the counter has the number",
                self.names.product
            );
        }
    }
}
