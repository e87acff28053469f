//! What files are called. The name of a new file always contains its attempt's epoch.

use millstream_protocol::layout::SubtaskId;
use millstream_stage::snapshot::CheckpointId;
use xxhash_rust::xxh3::xxh3_128;

/// The folder of files that several checkpoints may refer to.
pub(super) const SHARED: &str = "shared";

/// A checkpoint's own folder.
pub(super) fn checkpoint(id: CheckpointId, epoch: u64) -> String {
    format!("chk-{id}-{epoch}")
}

/// A subtask's state file within the checkpoint's folder.
pub(super) fn state(place: SubtaskId) -> String {
    format!("{}-{}.state", place.stage, place.subtask)
}

/// A file of a cold store that belongs to one checkpoint alone, within the checkpoint's folder.
pub(super) fn own(place: SubtaskId, id: &str) -> String {
    format!("{}-{}-{}", place.stage, place.subtask, digest(id))
}

/// A file of a cold store that later checkpoints may refer to. Each checkpoint that brings it writes it anew:
/// what an abandoned checkpoint left is never referred to again, so that it can be deleted.
pub(super) fn shared(id: CheckpointId, epoch: u64, file: &str) -> String {
    format!("{SHARED}/{epoch}-{id}-{}", digest(file))
}

// Ids are a cold store's own and may hold anything.
fn digest(id: &str) -> String {
    format!("{:032x}", xxh3_128(id.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_promised() {
        assert_eq!(checkpoint(7, 2), "chk-7-2");
        assert!(shared(7, 2, "x").starts_with("shared/2-7-"));
        assert_eq!(state(SubtaskId { stage: 3, subtask: 11 }), "3-11.state");
    }
}
