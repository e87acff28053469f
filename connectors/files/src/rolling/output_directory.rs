//! Where files are written, and the work that is done there away from the stage's thread.

use millstream_record::Result;

use super::config::RollingOptions;
use super::local::{self, Local};
use super::name::FileName;
use super::pending_file::PendingFile;
use super::remote::{self, Remote};

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
    Show(Vec<PendingFile>),
    /// Removes what older attempts have left for this writer.
    Clean(FileName),
}

/// What came of the tasks.
#[derive(Debug, Default)]
pub(crate) struct TaskOutcome {
    /// The files that were closed, in order.
    pub(crate) closed: Vec<PendingFile>,
    /// If that was among the tasks: the file that is open, as far as it is durable.
    pub(crate) synced: Option<Option<PendingFile>>,
    /// How many files were shown.
    pub(crate) shown: usize,
    /// Bytes that were appended.
    pub(crate) bytes: u64,
}

/// A directory, and the file of it that one subtask has open.
#[derive(Debug)]
pub(crate) enum OutputDirectory {
    /// On a file system. Its work blocks.
    Local(Local, Option<local::Growing>),
    /// In an object store or HDFS.
    Remote(Remote, Option<remote::Growing>),
}

impl OutputDirectory {
    /// # Errors
    /// A URL or an option that can never work.
    pub(crate) fn new(options: &RollingOptions) -> Result<Self> {
        match options.dir.split_once("://") {
            Some((scheme, _)) if scheme != "file" => {
                Ok(Self::Remote(Remote::new(&options.dir, &options.storage)?, None))
            }
            _ => Ok(Self::Local(Local::new(&options.dir), None)),
        }
    }

    pub(crate) fn is_local(&self) -> bool {
        matches!(self, Self::Local(..))
    }

    /// Works tasks off.
    ///
    /// # Errors
    /// The first that cannot be done.
    pub(crate) async fn run(&mut self, tasks: Vec<Task>) -> Result<TaskOutcome> {
        let mut outcome = TaskOutcome::default();
        for task in tasks {
            match task {
                Task::Append(name, bytes) => {
                    outcome.bytes += bytes.len() as u64;
                    self.append(name, bytes).await?;
                }
                Task::Sync => outcome.synced = Some(self.sync()?),
                Task::Close => {
                    outcome.closed.extend(self.finish().await?);
                    outcome.synced = Some(None);
                }
                Task::Show(files) => {
                    outcome.shown += files.len();
                    self.show(files).await?;
                }
                Task::Clean(mine) => self.clean(mine).await?,
            }
        }
        Ok(outcome)
    }

    async fn append(&mut self, name: String, bytes: Vec<u8>) -> Result<()> {
        match self {
            Self::Local(dir, open) => {
                let file = match open {
                    Some(file) => file,
                    none => none.insert(dir.begin(name)?),
                };
                dir.append(file, &bytes)
            }
            Self::Remote(dir, open) => {
                let file = match open {
                    Some(file) => file,
                    none => none.insert(dir.begin(name).await?),
                };
                dir.append(file, bytes).await
            }
        }
    }

    // An object store has nothing of a file before its end.
    fn sync(&self) -> Result<Option<PendingFile>> {
        match self {
            Self::Local(dir, open) => open.as_ref().map(|file| dir.sync(file)).transpose(),
            Self::Remote(..) => Ok(None),
        }
    }

    async fn finish(&mut self) -> Result<Option<PendingFile>> {
        match self {
            Self::Local(dir, open) => match open.take() {
                Some(file) => Ok(Some(PendingFile { open: false, ..dir.sync(&file)? })),
                None => Ok(None),
            },
            Self::Remote(dir, open) => match open.take() {
                Some(file) => Ok(Some(dir.finish(file).await?)),
                None => Ok(None),
            },
        }
    }

    async fn show(&mut self, files: Vec<PendingFile>) -> Result<()> {
        for file in files {
            match self {
                Self::Local(dir, _) => dir.show(&file)?,
                Self::Remote(dir, _) => dir.show(file).await?,
            }
        }
        Ok(())
    }

    async fn clean(&mut self, mine: FileName) -> Result<()> {
        match self {
            Self::Local(dir, _) => dir.clean(|name| mine.inherits(name)),
            Self::Remote(dir, _) => dir.clean(mine).await,
        }
    }
}
