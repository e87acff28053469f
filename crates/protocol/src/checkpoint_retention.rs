//! Which files of a job's folder may be deleted. Pure: what is there and what is known in, names out.
//!
//! A file's name tells the attempt that wrote it: `chk-<id>-<epoch>/…` belongs to one checkpoint,
//! `shared/<epoch>-…` to any number of them. Deleting cannot be fenced, so an attempt deletes only what
//! nobody can ever want again:
//!
//! - never what a retained checkpoint or one in flight refers to, and never what it does not know (the log,
//!   foreign files);
//! - nothing of a newer attempt than its own;
//! - of older attempts, what no retained checkpoint refers to: they are fenced, so nothing of theirs
//!   completes any more, and what was ever logged is in the log that this attempt has read;
//! - of its own, what it has dropped itself: checkpoints that were given up or are retained no more, and the
//!   shared files that only those referred to.
//!
//! A file that was once unreferenced is never referenced again, so a list that is a little old does no harm.

use std::collections::BTreeSet;

use millstream_stage::snapshot::CheckpointId;

/// What the attempt knows when it cleans up. Take it after the log entry stands that retired something.
#[derive(Clone, Debug, Default)]
pub struct KnownFiles {
    /// The attempt's epoch.
    pub epoch: u64,
    /// All files that retained checkpoints refer to, their own and shared ones, relative to the job's folder.
    /// If the files of one are not known, because its manifest cannot be read, there must be no clean-up.
    pub referenced: BTreeSet<String>,
    /// The retained checkpoints and those in flight, those in doubt, those whose files are still being
    /// written after they were given up.
    pub kept: BTreeSet<(CheckpointId, u64)>,
    /// Shared files that those in flight refer to or write.
    pub in_use: BTreeSet<String>,
    /// Shared files of this attempt that only dropped checkpoints referred to.
    pub dropped: BTreeSet<String>,
    /// The next checkpoint's number: from here on nothing of this attempt is touched.
    pub next_checkpoint: CheckpointId,
}

/// What a file belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// One checkpoint of an attempt.
    Checkpoint(CheckpointId, u64),
    /// Any number of checkpoints; written by this attempt.
    Shared(u64),
    /// Not a checkpoint's.
    Other,
}

/// The folder of a checkpoint, relative to the job's.
pub fn checkpoint_folder(id: CheckpointId, epoch: u64) -> String {
    format!("chk-{id}-{epoch}")
}

/// The path of a shared file, relative to the job's folder; `name` is unique within the attempt.
pub fn shared_file(epoch: u64, name: &str) -> String {
    format!("shared/{epoch}-{name}")
}

impl Owner {
    /// By its path, relative to the job's folder.
    pub fn of(path: &str) -> Self {
        Self::parse(path).unwrap_or(Self::Other)
    }

    fn parse(path: &str) -> Option<Self> {
        let (folder, name) = path.split_once('/')?;
        if folder == "shared" {
            return Some(Self::Shared(name.split_once('-')?.0.parse().ok()?));
        }
        let (id, epoch) = folder.strip_prefix("chk-")?.split_once('-')?;
        Some(Self::Checkpoint(id.parse().ok()?, epoch.parse().ok()?))
    }
}

/// Of these files, relative to the job's folder, those that may be deleted.
pub fn deletable<'a>(files: impl IntoIterator<Item = &'a str>, known: &KnownFiles) -> Vec<&'a str> {
    files.into_iter().filter(|file| known.may_delete(file)).collect()
}

impl KnownFiles {
    fn may_delete(&self, file: &str) -> bool {
        if self.referenced.contains(file) || self.in_use.contains(file) {
            return false;
        }
        match Owner::of(file) {
            Owner::Other => false,
            Owner::Shared(epoch) if epoch == self.epoch => self.dropped.contains(file),
            Owner::Shared(epoch) => epoch < self.epoch,
            Owner::Checkpoint(id, epoch) if self.kept.contains(&(id, epoch)) => false,
            Owner::Checkpoint(id, epoch) if epoch == self.epoch => id < self.next_checkpoint,
            Owner::Checkpoint(_, epoch) => epoch < self.epoch,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_tells_its_owner() {
        for (path, owner) in [
            ("chk-7-3/manifest", Owner::Checkpoint(7, 3)),
            ("chk-7-3/count/0.state", Owner::Checkpoint(7, 3)),
            ("shared/12-000042.sst", Owner::Shared(12)),
            ("log/0000000007", Owner::Other),
            ("chk-7/manifest", Owner::Other),
            ("shared/readme", Owner::Other),
            ("chk-7-3", Owner::Other),
            ("other/chk-7-3/x", Owner::Other),
        ] {
            assert_eq!(Owner::of(path), owner, "{path}");
        }
        assert_eq!(Owner::of(&format!("{}/x", checkpoint_folder(4, 5))), Owner::Checkpoint(4, 5));
        assert_eq!(Owner::of(&shared_file(6, "a-b")), Owner::Shared(6));
    }

    #[test]
    fn rubbish_goes_and_the_rest_stays() {
        let set = |files: &[&str]| files.iter().map(|file| (*file).to_owned()).collect();
        let known = KnownFiles {
            epoch: 5,
            referenced: set(&["chk-9-5/manifest", "shared/4-a", "shared/5-b"]),
            kept: BTreeSet::from([(9, 5), (10, 5)]),
            in_use: set(&["shared/5-c"]),
            dropped: set(&["shared/5-d", "shared/5-c"]),
            next_checkpoint: 11,
        };
        let stays = [
            "chk-9-5/manifest",
            "chk-9-5/x",
            "chk-10-5/x",
            "chk-11-5/x",
            "chk-8-6/x",
            "shared/4-a",
            "shared/5-b",
            "shared/5-c",
            "shared/5-e",
            "shared/6-a",
            "log/0000000001",
            "notes.txt",
        ];
        assert_eq!(deletable(stays, &known), Vec::<&str>::new());
        let goes = ["chk-8-5/manifest", "chk-9-4/x", "shared/4-b", "shared/5-d"];
        assert_eq!(deletable(goes, &known), goes);
    }

    /// A job through attempts: each checkpoint has files of its own and shares some with the one before.
    #[derive(Default)]
    struct Model {
        files: BTreeSet<String>,
        /// What each checkpoint that is in the log refers to.
        retained: BTreeMap<(CheckpointId, u64), BTreeSet<String>>,
        next: CheckpointId,
        epoch: u64,
    }

    /// What an attempt knows and does; an old one lives on beside the newer.
    #[derive(Clone, Default)]
    struct ModelAttempt {
        epoch: u64,
        next: CheckpointId,
        retained: BTreeMap<(CheckpointId, u64), BTreeSet<String>>,
        in_flight: Option<((CheckpointId, u64), BTreeSet<String>)>,
        dropped: BTreeSet<String>,
        written: u64,
    }

    impl ModelAttempt {
        fn begin(&mut self, model: &mut Model, shares: u8) {
            let id = self.next;
            self.next += 1;
            let base = self.retained.values().next_back().cloned().unwrap_or_default();
            let mut refers: BTreeSet<_> = base
                .into_iter()
                .filter(|file| file.starts_with("shared/"))
                .take(usize::from(shares))
                .collect();
            self.written += 1;
            refers.insert(shared_file(self.epoch, &format!("{}.sst", self.written)));
            refers.insert(format!("{}/manifest", checkpoint_folder(id, self.epoch)));
            model.files.extend(refers.iter().cloned());
            self.in_flight = Some(((id, self.epoch), refers));
        }

        fn give_up(&mut self) {
            let Some((_, refers)) = self.in_flight.take() else { return };
            self.drop_files(&refers);
        }

        fn drop_files(&mut self, refers: &BTreeSet<String>) {
            let own = |file: &&String| Owner::of(file) == Owner::Shared(self.epoch);
            let gone: Vec<_> = refers.iter().filter(own).cloned().collect();
            self.dropped.extend(gone);
        }

        // As the log decides: a fenced attempt completes nothing.
        fn complete(&mut self, model: &mut Model, keep: usize) {
            let Some((id, refers)) = self.in_flight.take() else { return };
            if model.epoch > self.epoch {
                return;
            }
            self.retained.insert(id, refers);
            while self.retained.len() > keep {
                let Some((_, old)) = self.retained.pop_first() else { break };
                self.drop_files(&old);
            }
            model.retained.clone_from(&self.retained);
            model.next = self.next;
        }

        fn known(&self) -> KnownFiles {
            let in_use = self.in_flight.iter().flat_map(|(_, refers)| refers.clone()).collect();
            let in_flight = self.in_flight.iter().map(|(id, _)| *id);
            KnownFiles {
                epoch: self.epoch,
                referenced: self.retained.values().flatten().cloned().collect(),
                kept: self.retained.keys().copied().chain(in_flight).collect(),
                in_use,
                dropped: self.dropped.clone(),
                next_checkpoint: self.next,
            }
        }
    }

    fn claim(model: &mut Model) -> ModelAttempt {
        model.epoch += 1;
        ModelAttempt {
            epoch: model.epoch,
            next: model.next,
            retained: model.retained.clone(),
            ..ModelAttempt::default()
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_referred_to_is_ever_deleted(turns in prop::collection::vec((0_u8..8, 0_usize..3, 0_u8..4), 1..200)) {
            let mut model = Model { next: 1, ..Model::default() };
            let mut attempts = vec![claim(&mut model)];
            for (what, who, much) in turns {
                let newest = attempts.len() - 1;
                let who = newest.saturating_sub(who);
                match what {
                    0 | 1 if attempts[who].in_flight.is_none() => attempts[who].begin(&mut model, much),
                    2 | 3 => attempts[who].complete(&mut model, usize::from(much % 3) + 1),
                    4 => attempts[who].give_up(),
                    5 if much == 0 => attempts.push(claim(&mut model)),
                    _ => {
                        let known = attempts[who].known();
                        let gone: Vec<_> = deletable(model.files.iter().map(String::as_str), &known).into_iter().map(str::to_owned).collect();
                        for file in gone {
                            model.files.remove(&file);
                        }
                    }
                }
                let live = &attempts[attempts.len() - 1];
                let wanted = model.retained.values().flatten().chain(live.in_flight.iter().flat_map(|(_, refers)| refers));
                for file in wanted {
                    prop_assert!(model.files.contains(file), "{file} is referred to and was deleted");
                }
            }
            // The newest attempt leaves nothing behind that nobody wants, its own future apart.
            let mut last = claim(&mut model);
            last.next = u64::MAX;
            let known = last.known();
            let gone: BTreeSet<_> = deletable(model.files.iter().map(String::as_str), &known).into_iter().collect();
            for file in &model.files {
                prop_assert!(known.referenced.contains(file) != gone.contains(file.as_str()), "{file}");
            }
        }
    }
}
