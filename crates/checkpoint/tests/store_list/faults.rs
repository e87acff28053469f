//! One fault at any call of a run: what stood stands, what stands is whole, and nothing else stays.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result, ensure};
use millstream_checkpoint::store::AttemptStore;
use millstream_protocol::checkpoint_stats::CheckpointKind;
use millstream_storage::Storage;

use super::faulty::{StorageFault, faulty};
use super::job::{Job, Machine, plan};
use super::{exactly_what_is_referenced, folder};

/// What a run knows of itself.
#[derive(Default)]
struct Run {
    /// The last round whose checkpoint stands for sure.
    stands: u64,
    /// One that may stand or not.
    doubtful: Option<u64>,
    /// By round.
    jobs: BTreeMap<u64, Job>,
}

/// Goes through every `step`-th call.
pub(super) async fn harm_nothing(machine: &Machine, root: &Storage, step: usize) -> Result<()> {
    let (healthy, calls) = faulty(&root.child("count"), StorageFault::Refused, usize::MAX)?;
    let run = Run::go(machine, &healthy).await?;
    ensure!((run.stands, run.doubtful) == (4, None), "a run without faults");
    let calls = calls.load(Ordering::Relaxed);
    for fault in [StorageFault::Refused, StorageFault::AnswerLost, StorageFault::Outage] {
        for at in (0..calls).step_by(step) {
            let place = root.child(&format!("{fault:?}-{at}"));
            one(machine, &place, fault, at).await.with_context(|| format!("{fault:?} at {at} of {calls}"))?;
        }
    }
    Ok(())
}

async fn one(machine: &Machine, place: &Storage, fault: StorageFault, at: usize) -> Result<()> {
    let (store, _) = faulty(place, fault, at)?;
    let run = Run::go(machine, &store).await?;
    let next = machine.claim(place, "job").await?;
    let recovered = next.restore().await?;
    match recovered {
        None => ensure!(run.stands == 0, "round {} stood and is lost", run.stands),
        Some(recovered) => {
            let enumerator = recovered.snapshot.stages[0].enumerator.clone().context("the round")?;
            let text = String::from_utf8(enumerator)?;
            let round = text.trim_start_matches("round ").parse()?;
            let known = round == run.stands || run.doubtful == Some(round);
            ensure!(known, "round {round} is restored, {} stood, {:?} is doubtful", run.stands, run.doubtful);
            run.jobs[&round].is_in(recovered.snapshot, true).await?;
        }
    }
    next.clean().await?;
    exactly_what_is_referenced(&folder(place, "job"), &next).await
}

impl Run {
    /// Two attempts with two checkpoints each, as far as the storage lets them.
    async fn go(machine: &Machine, root: &Storage) -> Result<Self> {
        let mut run = Self::default();
        let mut job = Job::default();
        for _ in 0..2 {
            // What cannot be claimed or restored now is tried again by a restart.
            let Ok(attempt) = machine.claim(root, "job").await else { continue };
            if attempt.restore().await.is_err() {
                continue;
            }
            for id in attempt.next_checkpoint()..attempt.next_checkpoint() + 2 {
                job.advance(2);
                run.jobs.insert(job.round(), job.clone());
                if !run.checkpoint(machine, &attempt, &job, id).await? {
                    break;
                }
                attempt.clean().await.err(); // The next one cleans up, too.
            }
        }
        Ok(run)
    }

    /// Whether the attempt can go on.
    async fn checkpoint(
        &mut self,
        machine: &Machine,
        attempt: &AttemptStore,
        job: &Job,
        id: u64,
    ) -> Result<bool> {
        let writer = attempt.checkpoint(id, CheckpointKind::Checkpoint, &plan("job", 2));
        let Ok((written, _)) = job.write(machine, writer, 2).await else { return Ok(true) };
        for _ in 0..2 {
            if attempt.complete(&written, 1).await.is_ok() {
                (self.stands, self.doubtful) = (job.round(), None);
                return Ok(true);
            }
            // Whatever else is logged settles the doubt first, and must not lose the checkpoint.
            if attempt.retire(Vec::new()).await.is_ok() {
                let retained = attempt.retained().await;
                ensure!(retained.contains(&written.reference), "the log has forgotten checkpoint {id}");
            }
        }
        self.doubtful = Some(job.round());
        Ok(false)
    }
}
