//! The list for sources, on real files: plain and gzip, simulated and on real threads.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::io::Write;
use std::sync::Arc;

use millstream_files::{FilesSource, FilesSourceOptions, Paths};
use millstream_record::{Error, Result};
use millstream_sim::conformance::{self, Content, Message, Prepared, SourceFixture, UnboundedFixture};
use millstream_sim::{Simulated, TokioWorld, World};
use millstream_stage::Rows;
use millstream_stage::raw::RawBatch;
use tempfile::TempDir;

struct Files {
    directory: TempDir,
    gzip: bool,
    real: bool,
    chunk_size: usize,
}

impl Files {
    fn new(gzip: bool, real: bool, chunk_size: usize) -> Self {
        Self { directory: tempfile::tempdir().unwrap(), gzip, real, chunk_size }
    }

    fn bytes(&self, lines: &[String]) -> Vec<u8> {
        // The last line has no end.
        let text = lines.join("\n").into_bytes();
        if !self.gzip {
            return text;
        }
        // Two members, cut within a line.
        let (first, second) = text.split_at(text.len() / 2);
        [first, second].into_iter().flat_map(pack).collect()
    }
}

fn pack(text: &[u8]) -> Vec<u8> {
    let mut member = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    member.write_all(text).unwrap();
    member.finish().unwrap()
}

impl SourceFixture for Files {
    type Source = FilesSource;

    fn world(&self) -> Result<Arc<dyn World>> {
        if self.real { Ok(Arc::new(TokioWorld::new()?)) } else { Ok(Arc::new(Simulated::default())) }
    }

    fn prepare(&self, place: &str, splits: usize, records: usize) -> Result<Prepared<FilesSource>> {
        let directory = self.directory.path().join(place);
        let written = |error: std::io::Error| Error::bug("no test files").caused_by(error);
        fs::create_dir(&directory).map_err(written)?;
        let mut content = Content::new();
        for split in 0..splits {
            let lines: Vec<_> = (0..records).map(|line| format!("line {line} of {split}")).collect();
            let path = directory.join(format!("part-{split}{}", if self.gzip { ".gz" } else { "" }));
            fs::write(&path, self.bytes(&lines)).map_err(written)?;
            content.insert(path.to_str().unwrap().to_owned(), lines);
        }
        let options = FilesSourceOptions {
            path: Paths::from(directory.to_str().unwrap()),
            chunk_size: self.chunk_size,
            ..FilesSourceOptions::default()
        };
        Ok(Prepared { source: FilesSource::new(options), content })
    }

    fn messages(&self, rows: &Rows<RawBatch>) -> Vec<Message> {
        conformance::messages(rows)
    }
}

/// Files end; until then their readers hear of assignments as all do.
impl UnboundedFixture for Files {
    fn unbounded(&self, place: &str, splits: usize, records: usize) -> Result<FilesSource> {
        Ok(self.prepare(place, splits, records)?.source)
    }
}

#[test]
fn readers_of_files_hear_of_empty_assignments() {
    conformance::unbounded_source(&Files::new(false, false, 64)).unwrap();
}

#[test]
fn plain_files_in_large_chunks() {
    conformance::source(&Files::new(false, false, 256 << 10)).unwrap();
}

#[test]
fn plain_files_in_chunks_smaller_than_a_line() {
    conformance::source(&Files::new(false, false, 5)).unwrap();
}

#[test]
fn gzip_of_two_members() {
    conformance::source(&Files::new(true, false, 100)).unwrap();
}

#[test]
fn on_real_threads() {
    conformance::source(&Files::new(false, true, 64)).unwrap();
}
