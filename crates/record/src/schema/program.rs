//! What a pair of schemas compiles to: steps that read the writer's bytes and write the reader's.

use super::parse::{Schema, TypeId};
use crate::record::{Record, decode_block, decode_bytes, encode_bytes, take};
use crate::{Error, Result};

/// A step's place in its [`Program`].
pub(super) type StepId = usize;

/// One value of the writer's, read as one of the reader's.
#[derive(Debug)]
pub(super) enum Step {
    /// The bytes are the same on both sides.
    Copy,
    /// `bytes` read as `string`: they must be UTF-8.
    Text,
    /// A whole number as a `float`.
    LongToFloat,
    /// A whole number as a `double`.
    LongToDouble,
    /// A `float` as a `double`.
    FloatToDouble,
    /// Each item by one step.
    Array(StepId),
    /// The reader's index of each of the writer's symbols; a symbol without one is an error.
    Enum(Vec<Result<i64, String>>),
    /// By the branch that the writer took.
    Union(Vec<StepId>),
    /// Into this branch of the reader's union.
    Branch(i64, StepId),
    /// Fields in the writer's order, which is the reader's.
    Record(Vec<Part>),
    /// Fields in another order: all of the writer's are found first.
    Reordered(Vec<TypeId>, Vec<Source>),
    /// This value cannot be read.
    Fail(String),
}

/// A part of a record whose order has not changed.
#[derive(Debug)]
pub(super) enum Part {
    /// A field that both have.
    Field(StepId),
    /// A field that the reader has no more, of this type.
    Skip(TypeId),
    /// A field that the writer did not have yet: its default.
    Put(Vec<u8>),
}

/// Where a field of the reader's comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// The writer's field of this number.
    Field(usize, StepId),
    /// Its default.
    Default(Vec<u8>),
}

/// Steps, each with the writer's type that it reads.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) writer: Schema,
    pub(super) steps: Vec<(TypeId, Step)>,
    pub(super) root: StepId,
}

impl Program {
    /// Appends the reader's form of the one datum in `entry`.
    pub(super) fn run(&self, mut entry: &[u8], out: &mut Vec<u8>) -> Result<()> {
        self.step(self.root, &mut entry, out)?;
        if entry.is_empty() {
            Ok(())
        } else {
            Err(Error::data(format!("{} bytes follow a datum", entry.len())))
        }
    }

    fn step(&self, step: StepId, input: &mut &[u8], out: &mut Vec<u8>) -> Result<()> {
        let (of, step) = &self.steps[step];
        match step {
            Step::Copy => return self.copy(*of, input, out),
            Step::Text => encode_bytes(text(decode_bytes(input)?)?, out),
            Step::LongToFloat => out.extend_from_slice(&(i64::decode(input)? as f32).to_le_bytes()),
            Step::LongToDouble => (i64::decode(input)? as f64).encode(out),
            Step::FloatToDouble => f64::from(float(input)?).encode(out),
            Step::Array(item) => return self.array(*item, input, out),
            Step::Enum(symbols) => symbol(symbols, i64::decode(input)?)?.encode(out),
            Step::Union(branches) => return self.union(branches, input, out),
            Step::Branch(number, value) => {
                number.encode(out);
                return self.step(*value, input, out);
            }
            Step::Record(parts) => return parts.iter().try_for_each(|part| self.part(part, input, out)),
            Step::Reordered(fields, sources) => return self.reordered(fields, sources, input, out),
            Step::Fail(reason) => return Err(Error::data(reason.clone())),
        }
        Ok(())
    }

    fn copy(&self, of: TypeId, input: &mut &[u8], out: &mut Vec<u8>) -> Result<()> {
        let before = *input;
        self.writer.skip(of, input)?;
        out.extend_from_slice(&before[..before.len() - input.len()]);
        Ok(())
    }

    fn array(&self, item: StepId, input: &mut &[u8], out: &mut Vec<u8>) -> Result<()> {
        loop {
            let count = decode_block(input)?;
            (count as i64).encode(out);
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count {
                self.step(item, input, out)?;
            }
        }
    }

    fn union(&self, branches: &[StepId], input: &mut &[u8], out: &mut Vec<u8>) -> Result<()> {
        let number = i64::decode(input)?;
        let branch = usize::try_from(number).ok().and_then(|number| branches.get(number));
        let branch = branch.ok_or_else(|| Error::data(format!("a union has no branch {number}")))?;
        self.step(*branch, input, out)
    }

    fn part(&self, part: &Part, input: &mut &[u8], out: &mut Vec<u8>) -> Result<()> {
        match part {
            Part::Field(step) => self.step(*step, input, out),
            Part::Skip(of) => self.writer.skip(*of, input),
            Part::Put(default) => {
                out.extend_from_slice(default);
                Ok(())
            }
        }
    }

    fn reordered(
        &self,
        fields: &[TypeId],
        sources: &[Source],
        input: &mut &[u8],
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let mut starts = Vec::with_capacity(fields.len());
        for of in fields {
            starts.push(*input);
            self.writer.skip(*of, input)?;
        }
        sources.iter().try_for_each(|source| match source {
            Source::Field(number, step) => self.step(*step, &mut starts[*number], out),
            Source::Default(default) => {
                out.extend_from_slice(default);
                Ok(())
            }
        })
    }

    /// Makes one copy of every step whose bytes do not change, however deep.
    pub(super) fn simplify(&mut self) {
        let same = self.unchanged();
        for ((_, step), same) in self.steps.iter_mut().zip(same) {
            if same {
                *step = Step::Copy;
            }
        }
    }

    // Steps may refer to themselves: all are taken for unchanged until one of their parts shows otherwise.
    fn unchanged(&self) -> Vec<bool> {
        let mut same = vec![true; self.steps.len()];
        loop {
            let next: Vec<_> = self.steps.iter().map(|(_, step)| self.keeps(step, &same)).collect();
            if next == same {
                return same;
            }
            same = next;
        }
    }

    fn keeps(&self, step: &Step, same: &[bool]) -> bool {
        match step {
            Step::Copy => true,
            Step::Array(item) => same[*item],
            Step::Enum(symbols) => symbols.iter().zip(0..).all(|(to, from)| *to == Ok(from)),
            Step::Union(branches) => branches.iter().zip(0..).all(|(branch, number)| {
                matches!(&self.steps[*branch].1, Step::Branch(to, value) if *to == number && same[*value])
            }),
            Step::Record(parts) => parts.iter().all(|part| matches!(part, Part::Field(step) if same[*step])),
            Step::Text
            | Step::LongToFloat
            | Step::LongToDouble
            | Step::FloatToDouble
            | Step::Branch(..)
            | Step::Reordered(..)
            | Step::Fail(_) => false,
        }
    }
}

fn text(bytes: &[u8]) -> Result<&[u8]> {
    std::str::from_utf8(bytes)
        .map(str::as_bytes)
        .map_err(|error| Error::data("bytes that are read as a string are not UTF-8").caused_by(error))
}

fn float(input: &mut &[u8]) -> Result<f32> {
    let raw = take(input, 4)?;
    Ok(f32::from_le_bytes(raw.try_into().expect("take returns 4 bytes")))
}

fn symbol(symbols: &[Result<i64, String>], index: i64) -> Result<i64> {
    match usize::try_from(index).ok().and_then(|index| symbols.get(index)) {
        Some(Ok(to)) => Ok(*to),
        Some(Err(reason)) => Err(Error::data(reason.clone())),
        None => Err(Error::data(format!("an enum of {} has no symbol {index}", symbols.len()))),
    }
}
