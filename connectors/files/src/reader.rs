//! Reads the files of one subtask, in turns. The files themselves are read where blocking is allowed, one
//! chunk ahead.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use millstream_record::record::to_bytes;
use millstream_record::{Error, Result};
use millstream_stage::Budget;
use millstream_stage::batch::Rows;
use millstream_stage::context::Context;
use millstream_stage::decode::BYTE_ORDER_MARK;
use millstream_stage::io::Completions;
use millstream_stage::raw::RawBatch;
use millstream_stage::snapshot::CheckpointId;
use millstream_stage::source::{Polled, Split, SplitReader, split_state};
use millstream_stage::split::SplitId;
use millstream_stage::time::MIN_TIME;

use crate::config::FilesSourceOptions;
use crate::damage::Damage;
use crate::errors;
use crate::input::Input;
use crate::lines::{Line, LineSplitter};
use crate::split::FileSplit;

/// One per subtask.
pub(crate) struct FilesReader {
    options: Arc<FilesSourceOptions>,
    files: Vec<OpenFile>,
    paused: BTreeSet<SplitId>,
    fetches: Completions<Fetched>,
    // Where those ended that are damaged: they stay in the snapshot.
    damaged: Vec<(FileSplit, Damage)>,
}

// What came of reading a chunk, with the file to read the next one from; an empty chunk is the end.
struct Fetched {
    split: SplitId,
    result: Result<Chunk>,
}

enum Chunk {
    Text(Input, Vec<u8>),
    // Everything before it was read.
    Damage(Damage),
}

struct OpenFile {
    id: SplitId,
    at: FileSplit,
    lines: LineSplitter,
    chunk: Vec<u8>,
    used: usize,
    next: Option<Vec<u8>>,
    state: State,
}

enum State {
    Unopened,
    Fetching,
    Ready(Input),
    Ended,
    Damaged(Damage),
}

impl FilesReader {
    pub(crate) fn new(options: Arc<FilesSourceOptions>) -> Self {
        let (files, paused, damaged) = (Vec::new(), BTreeSet::new(), Vec::new());
        Self { options, files, paused, fetches: Completions::default(), damaged }
    }

    fn take_fetched(&mut self) -> Result<()> {
        for fetched in self.fetches.drain()? {
            let Some(file) = self.files.iter_mut().find(|file| file.id == fetched.split) else { continue };
            let (state, chunk) = match fetched.result? {
                Chunk::Text(_, chunk) if chunk.is_empty() => (State::Ended, chunk),
                Chunk::Text(input, chunk) => (State::Ready(input), chunk),
                Chunk::Damage(damage) => (State::Damaged(damage), Vec::new()),
            };
            (file.state, file.next) = (state, Some(chunk));
        }
        Ok(())
    }

    // One file's turn: what it has, or nothing for now.
    fn turn(&mut self, cx: &Context<'_>, index: usize, budget: Budget) -> Option<FileTurn> {
        let file = &mut self.files[index];
        let batch = file.take_lines(budget.records.max(1), self.options.header);
        if file.wants_fetch() {
            fetch(file, &mut self.fetches, cx, &self.options);
        }
        if batch.len() + batch.refused().len() > 0 {
            return Some(FileTurn::Rows(batch));
        }
        file.is_finished().then_some(FileTurn::Finished)
    }
}

enum FileTurn {
    Rows(RawBatch),
    Finished,
}

fn fetch(
    file: &mut OpenFile,
    fetches: &mut Completions<Fetched>,
    cx: &Context<'_>,
    options: &Arc<FilesSourceOptions>,
) {
    let state = std::mem::replace(&mut file.state, State::Fetching);
    let (split, at, options) = (Arc::clone(&file.id), file.at.clone(), Arc::clone(options));
    fetches.spawn_blocking(cx.io().as_ref(), cx.waker(), move || {
        let result = read_chunk(state, &at, &options);
        Fetched { split, result }
    });
}

fn read_chunk(state: State, at: &FileSplit, options: &FilesSourceOptions) -> Result<Chunk> {
    let opened = match state {
        State::Ready(input) => Ok(input),
        _ => Input::open(at, options.compression),
    };
    let mut input = match opened {
        Ok(input) => input,
        Err(error) => return damage_or(error, |error| errors::opening(&at.path, error)),
    };
    let mut chunk = Vec::new();
    match input.read(&mut chunk, options.chunk_size) {
        Ok(()) => Ok(Chunk::Text(input, chunk)),
        Err(error) => damage_or(error, |error| errors::reading(&at.path, error)),
    }
}

fn damage_or(error: io::Error, other: impl FnOnce(io::Error) -> Error) -> Result<Chunk> {
    Damage::of(error).map(Chunk::Damage).map_err(other)
}

impl OpenFile {
    fn new(split: &Split, longest: usize) -> Result<Self> {
        let at: FileSplit = split_state(split)?;
        let lines = LineSplitter::new(longest, at.offset, at.lines);
        let id = Arc::clone(&split.id);
        Ok(Self { id, at, lines, chunk: Vec::new(), used: 0, next: None, state: State::Unopened })
    }

    // A line may end in the next chunk, so that is brought in until there is at least one line.
    fn take_lines(&mut self, most: usize, header: bool) -> RawBatch {
        let mut batch = RawBatch::with_capacity(Arc::clone(&self.id), self.chunk.len() - self.used, 0);
        let mut count = 0;
        loop {
            while count < most {
                let Some(line) = self.lines.next(&self.chunk, &mut self.used) else { break };
                count += usize::from(push(&mut batch, line, header));
            }
            if count > 0 || !self.advance() {
                break;
            }
        }
        if count == 0
            && self.is_read()
            && !self.is_damaged()
            && let Some(line) = self.lines.finish()
        {
            push(&mut batch, line, header);
        }
        (self.at.offset, self.at.lines) = (self.lines.offset(), self.lines.lines());
        batch
    }

    fn advance(&mut self) -> bool {
        let Some(next) = self.next.take_if(|next| !next.is_empty()) else { return false };
        (self.chunk, self.used) = (next, 0);
        true
    }

    fn wants_fetch(&self) -> bool {
        self.next.is_none() && matches!(self.state, State::Unopened | State::Ready(_))
    }

    fn is_read(&self) -> bool {
        matches!(self.state, State::Ended | State::Damaged(_)) && self.used == self.chunk.len()
    }

    // The beginning of a line whose end lies behind the damage is no line.
    fn is_damaged(&self) -> bool {
        matches!(self.state, State::Damaged(_))
    }

    fn is_finished(&mut self) -> bool {
        self.is_read() && (self.is_damaged() || self.lines.finish().is_none())
    }
}

// Without the zeros that a crash, or the truncation of a file that somebody still writes to, leaves before a
// line; and without a byte order mark, which is also in the middle where files were put together.
fn without_rests(line: &[u8]) -> &[u8] {
    let zeros = line.iter().take_while(|byte| **byte == 0).count();
    let line = &line[zeros..];
    line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line)
}

// Whether the line is a message.
fn push(batch: &mut RawBatch, line: Line<'_>, header: bool) -> bool {
    let bytes = if line.is_cut() { line.bytes } else { without_rests(line.bytes) };
    if bytes.is_empty() || header && line.number == 1 {
        return false;
    }
    let position = line.number as i64;
    if line.is_cut() {
        let reason = format!(
            "the line is {} bytes long, more than max-line-size: these are its first {}",
            line.length,
            line.bytes.len()
        );
        batch.refuse(line.bytes, position, MIN_TIME, reason);
    } else {
        batch.push(bytes, position, MIN_TIME);
    }
    true
}

impl SplitReader for FilesReader {
    type Out = RawBatch;

    fn add_splits(&mut self, splits: Vec<Split>) -> Result<()> {
        for split in &splits {
            self.files.push(OpenFile::new(split, self.options.max_line_size)?);
        }
        Ok(())
    }

    fn pause(&mut self, splits: &[SplitId]) {
        self.paused.extend(splits.iter().cloned());
    }

    fn resume(&mut self, splits: &[SplitId]) {
        splits.iter().for_each(|split| {
            self.paused.remove(split);
        });
    }

    fn poll(&mut self, cx: &mut Context<'_>, budget: Budget, rows: &mut Rows<RawBatch>) -> Result<Polled> {
        self.take_fetched()?;
        for _ in 0..self.files.len() {
            let paused = self.paused.contains(&self.files[0].id);
            let turn = if paused { None } else { self.turn(cx, 0, budget) };
            match turn {
                None => self.files.rotate_left(1),
                Some(FileTurn::Finished) => {
                    let file = self.files.remove(0);
                    self.paused.remove(&file.id);
                    if let State::Damaged(damage) = file.state {
                        self.damaged.push((file.at, damage));
                    }
                    return Ok(Polled::Finished(file.id));
                }
                Some(FileTurn::Rows(batch)) => {
                    let split = Arc::clone(&batch.split);
                    rows.push(batch, MIN_TIME);
                    self.files.rotate_left(1);
                    return Ok(Polled::Rows(split));
                }
            }
        }
        Ok(Polled::Pending(None))
    }

    fn snapshot(&mut self, _: CheckpointId) -> Result<Vec<Split>> {
        let at = self.files.iter().map(|file| &file.at).chain(self.damaged.iter().map(|(at, _)| at));
        Ok(at.map(|at| Split { id: at.path.as_str().into(), state: to_bytes(at) }).collect())
    }

    fn damage(&mut self) -> Option<Error> {
        let damaged = self.damaged.iter().map(|(at, damage)| errors::damaged(at, damage));
        damaged.reduce(|all, another| Error::data(format!("{all}. {another}")))
    }
}
