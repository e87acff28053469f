//! The log of a job in a storage: carries out what the pure [`JobLog`](millstream_protocol::log::JobLog) asks
//! for.

use millstream_protocol::log::{Append, Done, LogEntry, LogRequest, LogResponse};
use millstream_record::Result;

use millstream_storage::{Created, Storage};

/// The folder of a job's log.
#[derive(Clone, Debug)]
pub struct LogFolder {
    folder: Storage,
}

impl LogFolder {
    /// The log of the job with this folder.
    pub fn of(job: &Storage) -> Self {
        Self { folder: job.child("log") }
    }

    /// Appends an entry: returns when it stands, and prunes what is old.
    ///
    /// # Errors
    /// [`ErrorKind::Fenced`](millstream_record::ErrorKind::Fenced): a newer attempt runs the job, this one
    /// must stop. Any other error: the entry may stand or not. Call again with the same `append` until it is
    /// known; nothing else may be appended before.
    pub async fn append(&self, append: &mut Append) -> Result<Done> {
        loop {
            let answer = match append.ask() {
                LogRequest::Done(done) => {
                    self.prune(&done).await;
                    return Ok(done);
                }
                LogRequest::Refused(error) => {
                    return Err(error.in_context(format_args!("log {}", self.folder.url())));
                }
                LogRequest::List => self.list().await,
                LogRequest::Read(number) => self.read(number).await,
                LogRequest::Create(number, bytes) => self.create(number, bytes).await,
            };
            match answer {
                Ok(answer) => append.on(answer),
                Err(error) => {
                    append.on(LogResponse::Unknown);
                    return Err(error);
                }
            }
        }
    }

    /// The entry of the highest number that can be read: who runs the job and which checkpoints stand; `None`
    /// for a job that never ran.
    ///
    /// # Errors
    /// Returns the errors of the storage.
    pub async fn latest(&self) -> Result<Option<LogEntry>> {
        let LogResponse::Listed(mut numbers) = self.list().await? else { return Ok(None) };
        numbers.sort_unstable();
        for number in numbers.into_iter().rev() {
            let bytes = self.folder.get(&name(number)).await?;
            match bytes.map(|bytes| LogEntry::decode(&bytes)) {
                Some(Ok(entry)) => return Ok(Some(entry)),
                Some(Err(why)) => {
                    tracing::warn!(log = self.folder.url(), number, ?why, "an unreadable entry");
                }
                None => {}
            }
        }
        Ok(None)
    }

    async fn list(&self) -> Result<LogResponse> {
        let listed = self.folder.list("").await?;
        Ok(LogResponse::Listed(listed.iter().filter_map(|file| number(&file.path)).collect()))
    }

    async fn read(&self, number: u64) -> Result<LogResponse> {
        let bytes = self.folder.get(&name(number)).await?;
        Ok(LogResponse::Read(bytes.map(|bytes| bytes.to_vec())))
    }

    async fn create(&self, number: u64, bytes: Vec<u8>) -> Result<LogResponse> {
        Ok(match self.folder.create(&name(number), bytes.into()).await? {
            Created::New => LogResponse::Created,
            Created::Exists => LogResponse::Exists,
        })
    }

    async fn prune(&self, done: &Done) {
        let old: Vec<_> = done.prune.iter().map(|number| name(*number)).collect();
        if let Err(error) = self.folder.delete(&old).await {
            // The next entry tries again.
            tracing::debug!(log = self.folder.url(), error = error.chain(), "cannot delete old entries");
        }
    }
}

/// Ten digits, so that names sort as numbers do.
fn name(number: u64) -> String {
    format!("{number:010}")
}

fn number(name: &str) -> Option<u64> {
    name.parse().ok().filter(|_| name.bytes().all(|byte| byte.is_ascii_digit()))
}
