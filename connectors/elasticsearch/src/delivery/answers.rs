//! What becomes of documents when an answer has come.

use std::mem;
use std::time::Duration;

use millstream_core::dead_letter::DeadLetter;
use millstream_core::time::Nanos;
use millstream_core::{Context, Error, Result, Rows};

use super::{Delivery, nanos};
use crate::buffer::Pending;
use crate::retry::{Outcome, Reply};

impl Delivery {
    pub(super) fn answered(
        &mut self,
        cx: &Context<'_>,
        request: u64,
        reply: Reply,
        dead: &mut Rows<DeadLetter>,
    ) -> Result<()> {
        let documents = self.in_flight.remove(&request).expect("an answer belongs to a request in flight");
        let now = cx.nanos();
        match reply {
            Reply::Items(outcomes) => self.settle(cx, documents, outcomes, dead),
            Reply::Retry { reason, overloaded } => {
                if let Some(pause) = self.pace.failed(now) {
                    tracing::warn!(operator = %self.operator, %reason, ?pause, "Elasticsearch: a request failed and is repeated");
                }
                self.send_again(&reason, overloaded, documents, now)
            }
            Reply::Split(alone) => self.split(cx, documents, alone, dead),
        }
    }

    // All documents of the request go back to where they came from, in their order.
    fn send_again(
        &mut self,
        reason: &str,
        overloaded: bool,
        documents: Vec<Pending>,
        now: Nanos,
    ) -> Result<()> {
        self.count_retries(documents.len(), overloaded);
        for mut document in documents.into_iter().rev() {
            self.failed_again(&mut document, reason, now)?;
            self.buffer.put_back(document);
        }
        Ok(())
    }

    fn split(
        &mut self,
        cx: &Context<'_>,
        mut documents: Vec<Pending>,
        alone: Outcome,
        dead: &mut Rows<DeadLetter>,
    ) -> Result<()> {
        if documents.len() == 1 {
            return self.settle(cx, documents, vec![alone], dead);
        }
        tracing::debug!(operator = %self.operator, reason = ?alone, documents = documents.len(), "Elasticsearch: a request is halved");
        self.pace.too_large();
        self.halves.push(documents.split_off(documents.len() / 2));
        self.halves.push(documents);
        Ok(())
    }

    fn settle(
        &mut self,
        cx: &Context<'_>,
        documents: Vec<Pending>,
        outcomes: Vec<Outcome>,
        dead: &mut Rows<DeadLetter>,
    ) -> Result<()> {
        let now = cx.nanos();
        let (mut written, mut again) = (Vec::with_capacity(documents.len()), Vec::new());
        let others_pass = outcomes.iter().any(|outcome| matches!(outcome, Outcome::Done | Outcome::Stale));
        for (document, outcome) in documents.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Done => written.push(document),
                Outcome::Stale => {
                    self.conflict(&document);
                    written.push(document);
                }
                Outcome::DeadLetter(reason) => self.bury(cx, &document, &reason, dead),
                Outcome::Unclear(reason) if others_pass => self.bury(cx, &document, &reason, dead),
                Outcome::Unclear(reason) => again.push((document, reason, false)),
                Outcome::Retry { reason, overloaded } => again.push((document, reason, overloaded)),
            }
        }
        self.meters.acknowledged(&written, now);
        written.iter().for_each(|document| self.buffer.settle(document, now));
        self.defer(again, now)
    }

    // Only these documents wait; what goes to other indices goes on meanwhile, more slowly if the cluster is overloaded.
    fn defer(&mut self, again: Vec<(Pending, String, bool)>, now: Nanos) -> Result<()> {
        let overloaded = again.iter().filter(|(_, _, overloaded)| *overloaded).count();
        if overloaded > 0 {
            self.pace.slow_down();
        } else {
            self.pace.succeeded();
        }
        let Some((_, reason, _)) = again.first() else {
            return Ok(());
        };
        let tries = again.iter().map(|(document, ..)| document.tries + 1).max().unwrap_or(1);
        let pause = self.pace.delay(tries);
        tracing::warn!(
            operator = %self.operator, %reason, documents = again.len(), ?pause,
            "Elasticsearch: some documents of a request are repeated"
        );
        self.count_retries(again.len() - overloaded, false);
        self.count_retries(overloaded, true);
        let mut group = Vec::with_capacity(again.len());
        for (mut document, reason, _) in again {
            self.failed_again(&mut document, &reason, now)?;
            group.push(document);
        }
        self.requests += 1;
        self.later.insert((now + nanos(pause), self.requests), group);
        Ok(())
    }

    fn failed_again(&self, document: &mut Pending, reason: &str, now: Nanos) -> Result<()> {
        document.tries = document.tries.saturating_add(1);
        let since = *document.failed_at.get_or_insert(now);
        match self.options.backoff_max_time {
            Some(limit) if Duration::from_nanos(now.saturating_sub(since)) > limit => {
                Err(Error::restart(format!(
                    "{}: document {:?} of index {:?} could not be written for {limit:?} (bulk-flush.backoff.max-time): {reason}",
                    self.operator, document.key.id, document.key.index
                )))
            }
            _ => Ok(()),
        }
    }

    fn count_retries(&self, documents: usize, overloaded: bool) {
        self.meters.retries.add(documents as u64);
        if overloaded {
            self.meters.rejected.add(documents as u64);
        }
    }

    fn bury(&mut self, cx: &Context<'_>, document: &Pending, reason: &str, dead: &mut Rows<DeadLetter>) {
        let reason = format!("document {:?} of index {:?}: {reason}", document.key.id, document.key.index);
        self.refuse(document.body().to_vec(), cx.now(), &reason, dead);
        self.buffer.settle(document, cx.nanos());
    }

    // No document is twice on its way, and a repeated one may meet itself: any other conflict has another writer behind it.
    fn conflict(&mut self, document: &Pending) {
        self.meters.conflicts.add(1);
        let own = document.tries > 0 || document.rows == 0;
        if !own && !mem::replace(&mut self.warned_of_conflict, true) {
            tracing::warn!(
                operator = %self.operator, index = %document.key.index, id = %document.key.id,
                "Elasticsearch holds a newer version of a document: a newer attempt of this job runs, or another job or subtask writes \
                 the same ids, or the job's directory (where epochs are counted) was lost. Said once; see the figure conflicts"
            );
        }
    }
}
