//! One subtask's entries of one operator, in a state file: read when they are asked for, and no more of them
//! than that.

use std::ops::Range;
use std::sync::Arc;

use futures::StreamExt;
use millstream_record::key_group::KeyGroup;
use millstream_record::{Error, Result};
use millstream_stage::snapshot::{Emit, KeyedPart, TableSchema};
use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc;

use crate::format::{Entries, StateFile};
use crate::manifest::KeyedManifest;

/// Runs of blocks between the storage and the reader.
const RUNS: usize = 2;

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
        let (runs, mut arrived) = mpsc::channel(RUNS);
        let (source, section, groups) = (Arc::clone(file), self.section, wanted.clone());
        self.runtime.spawn(async move { bring(&source, section, &groups, &runs).await });
        let mut begun = false;
        loop {
            match futures::executor::block_on(arrived.recv()) {
                None if begun => return Err(Error::restart("the runtime that reads the snapshot has ended")),
                None => return self.read_here(file, wanted, emit),
                Some(Run::End) => return Ok(()),
                Some(Run::Blocks(blocks)) => blocks?.iter().try_for_each(|block| block.emit(emit))?,
            }
            begun = true;
        }
    }
}

impl StoredPart {
    /// Reads on the caller's thread: the runtime that opened the snapshot is gone.
    fn read_here(&self, file: &StateFile, wanted: &Range<KeyGroup>, emit: &mut Emit<'_>) -> Result<()> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime
            .map_err(|cause| Error::restart("cannot make a runtime to read a snapshot").caused_by(cause))?;
        let mut blocks = file.blocks(self.section, wanted);
        while let Some(run) = runtime.block_on(blocks.next()) {
            run?.iter().try_for_each(|block| block.emit(emit))?;
        }
        Ok(())
    }
}

enum Run {
    Blocks(Result<Vec<Entries>>),
    End,
}

async fn bring(file: &StateFile, section: u16, wanted: &Range<KeyGroup>, runs: &mpsc::Sender<Run>) {
    let mut blocks = file.blocks(section, wanted);
    while let Some(run) = blocks.next().await {
        if runs.send(Run::Blocks(run)).await.is_err() {
            return; // The reader has seen enough.
        }
    }
    // A reader that is gone needs no end.
    let _ = runs.send(Run::End).await;
}
