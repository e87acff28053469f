//! Where files are written, and the work that is done there away from the stage's thread.

use millstream_core::Result;

use super::local::{Growing, Local};
use super::name::FileName;
use super::pending::Pending;

/// One thing to do, in order.
#[derive(Debug)]
pub(crate) enum Task {
    /// Appends to the file of this name, which is begun where it is not open.
    Append(String, Vec<u8>),
    /// Makes what was appended durable.
    Sync,
    /// Ends the file that is open.
    Close,
    /// Shows these files.
    Show(Vec<Pending>),
    /// Removes what older attempts have left for this writer.
    Clean(FileName),
}

/// What came of the tasks.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// The files that were closed, in order.
    pub(crate) closed: Vec<Pending>,
    /// If that was among the tasks: the file that is open, as far as it is durable.
    pub(crate) synced: Option<Option<Pending>>,
    /// How many files were shown.
    pub(crate) shown: usize,
    /// Bytes that were appended.
    pub(crate) bytes: u64,
}

/// A directory, and the file of it that one subtask has open.
#[derive(Debug)]
pub(crate) struct Place {
    local: Local,
    open: Option<Growing>,
}

impl Place {
    pub(crate) fn new(dir: &str) -> Self {
        Self { local: Local::new(dir), open: None }
    }

    /// Works tasks off. Blocks.
    ///
    /// # Errors
    /// The first that cannot be done.
    pub(crate) fn run(&mut self, tasks: Vec<Task>) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        for task in tasks {
            self.run_one(task, &mut outcome)?;
        }
        Ok(outcome)
    }

    fn run_one(&mut self, task: Task, outcome: &mut Outcome) -> Result<()> {
        match task {
            Task::Append(name, bytes) => {
                outcome.bytes += bytes.len() as u64;
                let open = match &mut self.open {
                    Some(open) => open,
                    none => none.insert(self.local.begin(name)?),
                };
                self.local.append(open, &bytes)
            }
            Task::Sync => {
                outcome.synced = Some(self.open.as_ref().map(|open| self.local.sync(open)).transpose()?);
                Ok(())
            }
            Task::Close => {
                if let Some(open) = self.open.take() {
                    outcome.closed.push(Pending { open: false, ..self.local.sync(&open)? });
                }
                outcome.synced = Some(None);
                Ok(())
            }
            Task::Show(files) => {
                outcome.shown += files.len();
                files.iter().try_for_each(|file| self.local.show(file))
            }
            Task::Clean(mine) => self.local.clean(|name| mine.inherits(name)),
        }
    }
}
