//! Takes up the output of earlier attempts: fences them, asks the markers, writes what is missing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use millstream_record::Result;

use super::group::{Group, MarkerOffset};
use super::interval::Interval;
use super::marker::Marker;
use super::transaction::{RefusedOutput, Transactions};
use super::writer_id::WriterId;
use crate::client::Patience;
use crate::retry::ConnectorError;
use crate::sink_config::{KafkaSinkOptions, MissingMarker};

/// An older attempt that comes to life while this one starts takes the transactional id away, and then sees
/// that it is the older one.
const MOST_TRIES: u32 = 5;

/// What a writer does first. It blocks.
pub(crate) struct Start {
    pub(crate) options: Arc<KafkaSinkOptions>,
    pub(crate) job: String,
    pub(crate) attempt: u64,
    /// The writer's own id, then those of subtasks that are no more.
    pub(crate) writer_ids: Vec<Arc<WriterId>>,
    /// Output of a complete checkpoint; per writer id, older first.
    pub(crate) restored: Vec<Arc<Interval>>,
    /// The writer was closed: leave the transactional ids to whoever comes next.
    pub(crate) closed: Arc<AtomicBool>,
}

/// The writer of the own id, and what came of the start.
pub(crate) struct Started {
    pub(crate) transactions: Transactions,
    pub(crate) place: MarkerOffset,
    pub(crate) refused: Vec<RefusedOutput>,
}

impl Start {
    /// Takes up the output of all writer ids.
    ///
    /// # Errors
    /// When a newer attempt is there, the brokers cannot be reached or refuse, or the markers are gone.
    pub(crate) fn run(self) -> Result<Started, ConnectorError> {
        let mut refused = Vec::new();
        // The higher ones are only taken up; the own one stays.
        for writer_id in self.writer_ids.iter().skip(1) {
            self.take_up_again(writer_id, &mut refused)?;
        }
        let (transactions, place) = self.take_up_again(&self.writer_ids[0], &mut refused)?;
        Ok(Started { transactions, place, refused })
    }

    fn take_up_again(
        &self,
        writer_id: &Arc<WriterId>,
        refused: &mut Vec<RefusedOutput>,
    ) -> Result<(Transactions, MarkerOffset), ConnectorError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.take_up(writer_id, refused) {
                Err(ConnectorError::TakenOver { .. }) if tries < MOST_TRIES => {}
                done => return done,
            }
        }
    }

    fn take_up(
        &self,
        writer_id: &Arc<WriterId>,
        refused: &mut Vec<RefusedOutput>,
    ) -> Result<(Transactions, MarkerOffset), ConnectorError> {
        if self.closed.load(Relaxed) {
            return Err(ConnectorError::Closed);
        }
        let transactions = Transactions::open(&self.options, &self.job, writer_id, self.attempt)?;
        let group = Group::new(&self.options, &self.job, writer_id)?;
        // From here on the marker only changes by this attempt's hand.
        let marker = group.read(&self.patience())?;
        if let Some(Marker { attempt, .. }) = marker
            && attempt > self.attempt
        {
            let id = writer_id.transactional_id();
            return Err(ConnectorError::Fenced { id, attempt: self.attempt, newer: attempt });
        }
        let of_subtask =
            self.restored.iter().filter(|interval| interval.writer_id.subtask == writer_id.subtask);
        let (own, adopted): (Vec<_>, Vec<_>) =
            of_subtask.cloned().partition(|interval| interval.writer_id == *writer_id);
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
    ) -> Result<Vec<RefusedOutput>, ConnectorError> {
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
    fn without_marker(&self, id: &str, topic: &str, own: &[Arc<Interval>]) -> Result<Marker, ConnectorError> {
        let nothing = Marker { attempt: self.attempt, written: None };
        let Some(last) = own.last() else { return Ok(nothing) };
        let checkpoint = last.stamp.checkpoint;
        match self.options.on_missing_marker {
            MissingMarker::Fail => {
                Err(ConnectorError::MarkerGone { id: id.to_owned(), topic: topic.to_owned(), checkpoint })
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
    ) -> Result<Vec<RefusedOutput>, ConnectorError> {
        let mut by_writer: BTreeMap<Arc<WriterId>, Vec<Arc<Interval>>> = BTreeMap::new();
        for interval in intervals {
            by_writer.entry(Arc::clone(&interval.writer_id)).or_default().push(interval);
        }
        let mut refused = Vec::new();
        for (writer_id, mut intervals) in by_writer {
            let here = writer_id.adopted_by(&self.writer_ids[0].sink, &self.writer_ids[0].topic);
            let here = Group::new(&self.options, &self.job, &here)?;
            let there = Group::new(&self.options, &self.job, &writer_id)?.read(&self.patience())?;
            if there.is_none() {
                tracing::warn!(
                    id = writer_id.transactional_id(),
                    topic = writer_id.topic,
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
