//! Rules that can be broken on purpose, to see that the simulation finds it.

use std::sync::Arc;

use millstream_protocol::broken::BrokenRule;
use millstream_record::Result;
use millstream_stage::snapshot::{KeyedPart, MemoryPart, Restored};

/// A rule that is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// A rule of the protocol that drivers share: the simulation runs the product's own code, with this rule
    /// broken.
    Protocol(BrokenRule),
    /// A checkpoint is taken for complete before its entry stands in the log.
    CompleteWithoutEntry,
    /// What key groups have seen of the watermark is lost in a restore.
    WatermarkNotRestored,
    /// A sink takes the number of a result's firing for the version of its document. (This one is up to the
    /// sink.)
    FiringNumberAsVersion,
}

impl Broken {
    /// All of them, with their names for a command line.
    pub const ALL: [(&'static str, Self); 11] = [
        ("acknowledge-before-flush", Self::Protocol(BrokenRule::AcknowledgeBeforeFlush)),
        ("alignment-skipped", Self::Protocol(BrokenRule::AlignmentSkipped)),
        ("assignment-overtakes-barrier", Self::Protocol(BrokenRule::AssignmentOvertakesBarrier)),
        ("complete-without-entry", Self::CompleteWithoutEntry),
        ("empty-assignment-dropped", Self::Protocol(BrokenRule::EmptyAssignmentDropped)),
        ("end-before-flush", Self::Protocol(BrokenRule::EndBeforeFlush)),
        ("firing-number-as-version", Self::FiringNumberAsVersion),
        ("held-source-forgotten", Self::Protocol(BrokenRule::HeldSourceForgotten)),
        ("held-source-reads", Self::Protocol(BrokenRule::HeldSourceReads)),
        ("settled-before-commit", Self::Protocol(BrokenRule::SettledBeforeCommit)),
        ("watermark-not-restored", Self::WatermarkNotRestored),
    ];

    /// The rule of the shared protocol, if it is one.
    pub(super) fn protocol(self) -> Option<BrokenRule> {
        match self {
            Self::Protocol(rule) => Some(rule),
            Self::CompleteWithoutEntry | Self::WatermarkNotRestored | Self::FiringNumberAsVersion => None,
        }
    }
}

/// What a restore gives back when the watermark is forgotten.
pub(super) fn without_watermarks(mut restored: Restored) -> Result<Restored> {
    for keyed in restored.keyed.values_mut() {
        for part in &mut keyed.parts {
            *part = without(part.as_ref())?;
        }
    }
    Ok(restored)
}

fn without(part: &dyn KeyedPart) -> Result<Arc<dyn KeyedPart>> {
    let tables = part.tables().to_vec();
    let is_watermark: Vec<_> = tables.iter().map(|table| table.name == "watermark").collect();
    let mut kept = MemoryPart::new(tables);
    part.entries(&part.groups(), &mut |group, table, entry| {
        if !is_watermark[usize::from(table)] {
            kept.push(group, table, entry.to_vec());
        }
        Ok(())
    })?;
    Ok(Arc::new(kept))
}
