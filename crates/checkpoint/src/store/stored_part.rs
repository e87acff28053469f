//! One subtask's entries of one operator, in a state file: read when they are asked for, and no more of them
//! than that.

use std::ops::Range;
use std::sync::Arc;

use millstream_record::Result;
use millstream_record::key_group::KeyGroup;
use millstream_stage::snapshot::{Emit, KeyedPart, TableSchema};
use tokio::runtime::Handle;

use super::pieces::{Pieces, take_all};
use crate::format::{Entries, StateFile};
use crate::manifest::KeyedManifest;

/// Stored entries. Reading them waits for the storage: not for the runtime's own threads.
pub(crate) struct StoredPart {
    file: Option<Arc<StateFile>>,
    section: u16,
    tables: Vec<TableSchema>,
    groups: Range<KeyGroup>,
    runtime: Handle,
}

impl StoredPart {
    /// For reads that the current runtime carries out.
    pub(crate) fn new(file: Option<Arc<StateFile>>, manifest: &KeyedManifest) -> Self {
        Self {
            file,
            section: manifest.section,
            tables: manifest.tables.iter().cloned().map(Into::into).collect(),
            groups: manifest.groups.clone(),
            runtime: Handle::current(),
        }
    }
}

impl KeyedPart for StoredPart {
    fn tables(&self) -> &[TableSchema] {
        &self.tables
    }

    fn groups(&self) -> Range<KeyGroup> {
        self.groups.clone()
    }

    fn entries(&self, wanted: &Range<KeyGroup>, emit: &mut Emit<'_>) -> Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let bring = |pieces: Pieces<Vec<Entries>>| {
            let (file, section, wanted) = (Arc::clone(file), self.section, wanted.clone());
            async move { pieces.send(file.blocks(section, &wanted)).await }
        };
        take_all(&self.runtime, bring, &mut |blocks| blocks.iter().try_for_each(|block| block.emit(emit)))
    }
}
