//! What files are called.

/// Names the files of one writer: `part-<sink>-<epoch>-<subtask>-<number>.<extension>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileName {
    /// Tells the sink from others that write to the same directory.
    sink: String,
    epoch: u64,
    subtask: u16,
    parallelism: u16,
}

impl FileName {
    pub(crate) fn new(job: &str, sink: &str, epoch: u64, subtask: u16, parallelism: u16) -> Self {
        Self { sink: format!("{:08x}", hash(job, sink)), epoch, subtask, parallelism }
    }

    /// A file's name.
    pub(crate) fn of(&self, number: u64, extension: &str) -> String {
        format!("part-{}-{}-{}-{number}.{extension}", self.sink, self.epoch, self.subtask)
    }

    /// Whether a file was an older attempt's and this writer takes up what that one's subtask has left:
    /// committables go the same way.
    pub(crate) fn inherits(&self, name: &str) -> bool {
        let mut parts = name.split('-');
        let ours = parts.next() == Some("part") && parts.next() == Some(&self.sink);
        let epoch = parts.next().and_then(|epoch| epoch.parse::<u64>().ok());
        let subtask = parts.next().and_then(|subtask| subtask.parse::<u16>().ok());
        let older = epoch.is_some_and(|epoch| epoch < self.epoch);
        ours && older && subtask.is_some_and(|subtask| subtask % self.parallelism.max(1) == self.subtask)
    }
}

// FNV-1a: stable for ever, since files are found again by it.
fn hash(job: &str, sink: &str) -> u32 {
    let bytes = job.bytes().chain([0]).chain(sink.bytes());
    bytes.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_inherits_from_older_attempts_of_its_own_sink() {
        let old = FileName::new("job", "sink", 3, 5, 8);
        let name = old.of(17, "csv");
        let heir = |sink, epoch, subtask| FileName::new("job", sink, epoch, subtask, 2).inherits(&name);
        assert!(heir("sink", 4, 1));
        assert!(!heir("sink", 4, 0), "another subtask takes it up");
        assert!(!heir("sink", 3, 1), "its own attempt's");
        assert!(!heir("other", 4, 1));
        assert!(!FileName::new("job", "sink", 4, 1, 2).inherits("part-of-something"));
    }
}
