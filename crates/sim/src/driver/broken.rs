//! Rules that can be broken on purpose, to see that the simulation finds it.

use std::sync::Arc;

use millstream_core::Result;
use millstream_core::snapshot::{KeyedPart, MemoryPart, Restored};

/// A rule of exactly-once that is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// A subtask acknowledges a barrier before its sinks have flushed.
    AcknowledgeBeforeFlush,
    /// A checkpoint is taken for complete before its entry stands in the log.
    CompleteWithoutEntry,
    /// A subtask freezes at the first barrier and does not wait for the other channels.
    AlignmentSkipped,
    /// What key groups have seen of the watermark is lost in a restore.
    WatermarkNotRestored,
    /// A sink takes the number of a result's firing for the version of its document. (This one is up to the sink.)
    FiringNumberAsVersion,
}

impl Broken {
    /// All of them, with their names for a command line.
    pub const ALL: [(&'static str, Self); 5] = [
        ("acknowledge-before-flush", Self::AcknowledgeBeforeFlush),
        ("complete-without-entry", Self::CompleteWithoutEntry),
        ("alignment-skipped", Self::AlignmentSkipped),
        ("firing-number-as-version", Self::FiringNumberAsVersion),
        ("watermark-not-restored", Self::WatermarkNotRestored),
    ];
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
