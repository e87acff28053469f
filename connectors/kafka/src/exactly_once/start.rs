//! Takes up the output of earlier attempts: fences them, asks the markers, writes what is missing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use millstream_record::Result;

use super::group::{Group, MarkerOffset};
use super::interval::Interval;
use super::marker::Marker;
use super::origin::Origin;
use super::transaction::{RefusedOutput, Transactions};
use crate::client::Patience;
use crate::retry::Fault;
use crate::sink_config::{KafkaSinkOptions, MissingMarker};

/// An older attempt that comes to life while this one starts takes the transactional id away, and then sees
/// that it is the older one.
const MOST_TRIES: u32 = 5;

/// What a writer does first. It blocks.
pub(crate) struct Start {
    pub(crate) options: Arc<KafkaSinkOptions>,
    pub(crate) job: String,
    pub(crate) attempt: u64,
    /// The writer's own origin, then those of subtasks that are no more.
    pub(crate) origins: Vec<Arc<Origin>>,
    /// Output of a complete checkpoint; per origin, older first.
    pub(crate) restored: Vec<Arc<Interval>>,
    /// The writer was closed: leave the transactional ids to whoever comes next.
    pub(crate) closed: Arc<AtomicBool>,
}

/// The writer of the own origin, and what came of the start.
pub(crate) struct Started {
    pub(crate) transactions: Transactions,
    pub(crate) place: MarkerOffset,
    pub(crate) refused: Vec<RefusedOutput>,
}

impl Start {
    /// Takes up all origins.
    ///
    /// # Errors
    /// When a newer attempt is there, the brokers cannot be reached or refuse, or the markers are gone.
    pub(crate) fn run(self) -> Result<Started, Fault> {
        let mut refused = Vec::new();
        // The higher ones are only taken up; the own one stays.
        for origin in self.origins.iter().skip(1) {
            self.take_up_again(origin, &mut refused)?;
        }
        let (transactions, place) = self.take_up_again(&self.origins[0], &mut refused)?;
        Ok(Started { transactions, place, refused })
    }

    fn take_up_again(
        &self,
        origin: &Arc<Origin>,
        refused: &mut Vec<RefusedOutput>,
    ) -> Result<(Transactions, MarkerOffset), Fault> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.take_up(origin, refused) {
                Err(Fault::TakenOver { .. }) if tries < MOST_TRIES => {}
                done => return done,
            }
        }
    }

    fn take_up(
        &self,
        origin: &Arc<Origin>,
        refused: &mut Vec<RefusedOutput>,
    ) -> Result<(Transactions, MarkerOffset), Fault> {
        if self.closed.load(Relaxed) {
            return Err(Fault::Closed);
        }
        let transactions = Transactions::open(&self.options, &self.job, origin, self.attempt)?;
        let group = Group::new(&self.options, &self.job, origin)?;
        // From here on the marker only changes by this attempt's hand.
        let marker = group.read(&self.patience())?;
        if let Some(Marker { attempt, .. }) = marker
            && attempt > self.attempt
        {
            let id = origin.transactional_id();
            return Err(Fault::Fenced { id, attempt: self.attempt, newer: attempt });
        }
        let of_subtask = self.restored.iter().filter(|interval| interval.origin.subtask == origin.subtask);
        let (own, adopted): (Vec<_>, Vec<_>) =
            of_subtask.cloned().partition(|interval| interval.origin == *origin);
        refused.extend(self.adopt(&transactions, adopted)?);
        let place = group.place()?;
        refused.extend(self.write_own(&transactions, &place, marker, own)?);
        Ok((transactions, place))
    }

    // The marker first says that this attempt is here: whoever is fenced by it then knows by whom.
    fn write_own(
        &self,
        transactions: &Transactions,
        place: &MarkerOffset,
        marker: Option<Marker>,
        mut own: Vec<Arc<Interval>>,
    ) -> Result<Vec<RefusedOutput>, Fault> {
        let mut marker = match marker {
            Some(marker) => marker,
            None => self.without_marker(&transactions.id(), &place.topic, &own)?,
        };
        marker.attempt = self.attempt;
        transactions.write(&[], place, marker)?;
        own.retain(|interval| !marker.covers(interval.stamp));
        let Some(last) = own.last() else { return Ok(Vec::new()) };
        marker.written = Some(last.stamp);
        transactions.write(&own, place, marker)
    }

    // An attempt marks that it is there before it takes its first snapshot: with output of a snapshot there
    // was a marker.
    fn without_marker(&self, id: &str, topic: &str, own: &[Arc<Interval>]) -> Result<Marker, Fault> {
        let nothing = Marker { attempt: self.attempt, written: None };
        let Some(last) = own.last() else { return Ok(nothing) };
        let checkpoint = last.stamp.checkpoint;
        match self.options.on_missing_marker {
            MissingMarker::Fail => {
                Err(Fault::MarkerGone { id: id.to_owned(), topic: topic.to_owned(), checkpoint })
            }
            MissingMarker::Write => {
                tracing::warn!(
                    id,
                    checkpoint,
                    "the marker is gone: restored output is written, perhaps again"
                );
                Ok(nothing)
            }
            MissingMarker::Skip => {
                tracing::warn!(id, checkpoint, "the marker is gone: restored output is left out");
                Ok(Marker { written: Some(last.stamp), ..nothing })
            }
        }
    }

    // Output of another job or topic, which a savepoint has brought here.
    fn adopt(
        &self,
        transactions: &Transactions,
        intervals: Vec<Arc<Interval>>,
    ) -> Result<Vec<RefusedOutput>, Fault> {
        let mut by_origin: BTreeMap<Arc<Origin>, Vec<Arc<Interval>>> = BTreeMap::new();
        for interval in intervals {
            by_origin.entry(Arc::clone(&interval.origin)).or_default().push(interval);
        }
        let mut refused = Vec::new();
        for (origin, mut intervals) in by_origin {
            let here = origin.adopted_by(&self.origins[0].sink, &self.origins[0].topic);
            let here = Group::new(&self.options, &self.job, &here)?;
            let there = Group::new(&self.options, &self.job, &origin)?.read(&self.patience())?;
            if there.is_none() {
                tracing::warn!(
                    id = origin.transactional_id(),
                    topic = origin.topic,
                    "no marker says whether the output of a savepoint was written there; it is written here"
                );
            }
            let markers = [here.read(&self.patience())?, there];
            intervals
                .retain(|interval| !markers.iter().flatten().any(|marker| marker.covers(interval.stamp)));
            if let Some(last) = intervals.last() {
                let marker = Marker { attempt: self.attempt, written: Some(last.stamp) };
                refused.extend(transactions.write(&intervals, &here.place()?, marker)?);
            }
        }
        Ok(refused)
    }

    fn patience(&self) -> Patience {
        Patience::new(&self.options.brokers, self.options.connect_timeout)
    }
}
