//! The manifest's file: version and checksum around it.

use millstream_record::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{Manifest, encoded};

/// The version that is written; older ones are read for ever.
const VERSION: u32 = 1;

const FORMAT: &str = "millstream";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    format: String,
    version: u32,
    #[serde(with = "encoded::digits")]
    xxh3: u64,
    #[serde(borrow)]
    manifest: &'a RawValue,
}

impl Manifest {
    /// The manifest's file.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`](millstream_record::ErrorKind::Bug) if it cannot be written as JSON.
    pub fn encode(&self) -> Result<Vec<u8>> {
        self.encode_as(VERSION)
    }

    fn encode_as(&self, version: u32) -> Result<Vec<u8>> {
        let bug = |cause| Error::bug("a manifest cannot be written as JSON").caused_by(cause);
        let manifest = serde_json::value::to_raw_value(self).map_err(bug)?;
        let xxh3 = checksum(version, &manifest);
        let envelope = Envelope { format: FORMAT.to_owned(), version, xxh3, manifest: &manifest };
        serde_json::to_vec(&envelope).map_err(bug)
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](millstream_record::ErrorKind::Data) when it is damaged, or no manifest;
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) for a newer version.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let unreadable =
            |cause| Error::data("it is cut, damaged or no manifest of Millstream").caused_by(cause);
        let envelope: Envelope<'_> = serde_json::from_slice(bytes).map_err(unreadable)?;
        let Envelope { format, version, xxh3: expected, manifest } = envelope;
        if format != FORMAT {
            return Err(Error::data(format!("it has the format `{format}` instead of `{FORMAT}`")));
        }
        let actual = checksum(version, manifest);
        if expected != actual {
            return Err(Error::data(format!(
                "it is damaged: checksum {expected:016x} expected, {actual:016x} found"
            )));
        }
        if version > VERSION {
            return Err(Error::configuration(format!(
                "it has version {version} of the format, this Millstream knows {VERSION}: restore it with the one that wrote it"
            )));
        }
        serde_json::from_str(manifest.get()).map_err(unreadable)
    }
}

// With the version in it: a damaged one must not pass for a newer one, which no older checkpoint would help
// against.
fn checksum(version: u32, manifest: &RawValue) -> u64 {
    xxh3_64_with_seed(manifest.get().as_bytes(), u64::from(version))
}

#[cfg(test)]
mod tests {
    use millstream_protocol::checkpoint_stats::CheckpointKind;
    use millstream_protocol::job_id::JobId;
    use millstream_record::ErrorKind;

    use super::super::*;
    use super::VERSION;

    fn manifest() -> Manifest {
        let items = Items::Here(vec![Encoded(vec![0, 255, 7])]);
        let list = ListManifest {
            operator: "clicks".into(),
            state: "splits".into(),
            redistribute: ListMode::Union,
            items,
        };
        let file = FileManifest { path: "chk-3-2/0-1.state".into(), bytes: 9, xxh3: 255 };
        let subtask =
            SubtaskManifest { subtask: 1, file: Some(file), lists: vec![list], ..SubtaskManifest::default() };
        let stage = StageManifest {
            name: "clicks -> count".into(),
            operators: vec!["clicks".into(), "count".into()],
            parallelism: 2,
            enumerator: Some(Encoded(b"state".to_vec())),
            subtasks: vec![subtask],
        };
        Manifest {
            job: "demo".into(),
            job_id: JobId::of("demo"),
            checkpoint: 3,
            epoch: 2,
            kind: CheckpointKind::Checkpoint,
            time: -5,
            key_groups: 128,
            bytes: 9,
            stages: vec![stage],
        }
    }

    #[test]
    fn a_manifest_comes_back_and_any_flipped_bit_or_cut_shows() {
        let bytes = manifest().encode().unwrap();
        assert_eq!(Manifest::decode(&bytes).unwrap(), manifest());
        for at in 0..bytes.len() {
            assert!(Manifest::decode(&bytes[..at]).is_err(), "cut at {at}");
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert!(Manifest::decode(&bad).is_err(), "flipped at {at}");
        }
    }

    #[test]
    fn a_newer_version_is_told_apart_from_damage() {
        let newer = manifest().encode_as(VERSION + 1).unwrap();
        assert_eq!(Manifest::decode(&newer).unwrap_err().kind(), ErrorKind::Configuration);
        let text = String::from_utf8(manifest().encode().unwrap()).unwrap();
        let damaged = text.replace("\"version\":1", "\"version\":3");
        assert_eq!(Manifest::decode(damaged.as_bytes()).unwrap_err().kind(), ErrorKind::Data);
    }
}
