//! Resolves a pair of records: fields added, removed, renamed, in another order.

use super::compatibility::NoteKind;
use super::datum;
use super::parse::{Field, RecordType, Type, TypeId};
use super::program::{Part, Source, Step, StepId};
use super::resolve::Resolver;

impl Resolver<'_> {
    /// The step of a pair of records; within itself, the pair is known by its step.
    pub(super) fn record(&mut self, w: TypeId, r: TypeId, from: &RecordType, to: &RecordType) -> StepId {
        if let Some(step) = self.open.get(&(w, r)) {
            return *step;
        }
        let step = self.push(w, Step::Fail(format!("{} cannot be read", from.named)));
        self.open.insert((w, r), step);
        let before = self.refusals.len();
        self.record_name(from, to);
        let body = self.fields(from, to);
        if self.refusals.len() == before {
            self.steps[step].1 = body;
        }
        self.open.remove(&(w, r));
        step
    }

    fn record_name(&mut self, from: &RecordType, to: &RecordType) {
        if !to.named.accepts(&from.named) {
            self.other_name(&from.named.name, &to.named.name);
        } else if from.named.name != to.named.name && !to.named.is_tuple() {
            self.changed(NoteKind::Equal, format!("record `{}` is now `{}`", from.named.name, to.named.name));
        }
    }

    fn fields(&mut self, from: &RecordType, to: &RecordType) -> Step {
        let origins: Vec<_> = to.fields.iter().map(|field| origin(field, from, to)).collect();
        let mut sources = Vec::with_capacity(to.fields.len());
        for (field, origin) in to.fields.iter().zip(&origins) {
            let source = self.within(&field.name, |inner| inner.source(field, *origin, from));
            sources.push(source);
        }
        self.removed(from, &origins);
        let kept: Vec<_> = origins.into_iter().flatten().collect();
        if kept.is_sorted_by(|one, next| one < next) {
            return Step::Record(parts(from, sources));
        }
        self.changed(NoteKind::Other, "fields in another order");
        Step::Reordered(from.fields.iter().map(|field| field.of).collect(), sources)
    }

    fn source(&mut self, field: &Field, origin: Option<usize>, from: &RecordType) -> Source {
        let Some(number) = origin else { return Source::Default(self.default(field)) };
        let written = &from.fields[number];
        if written.name != field.name {
            self.changed(NoteKind::Equal, format!("renamed from `{}`", written.name));
        }
        Source::Field(number, self.value(written.of, field.of))
    }

    fn default(&mut self, field: &Field) -> Vec<u8> {
        let mut bytes = Vec::new();
        let Some(default) = &field.default else {
            let (of, example) = (self.reader.describe(field.of), self.example(field.of));
            self.refused(format!(
                "added ({of}) without a default: mark it with #[record(default = {example})], or with #[record(alias = \"...\")] if \
                 it was only renamed"
            ));
            return bytes;
        };
        match datum::from_json(self.reader, field.of, default, &mut bytes) {
            Ok(()) => self.changed(NoteKind::Added, format!("added with default {default}")),
            Err(reason) => self.refused(format!("its default is none of its values: {reason}")),
        }
        bytes
    }

    fn example(&self, of: TypeId) -> String {
        match self.reader.get(of) {
            Type::Boolean => "false".into(),
            Type::Int | Type::Long => "0".into(),
            Type::Float | Type::Double => "0.0".into(),
            Type::String => "\"\"".into(),
            Type::Enum(of) => match of.symbols.first() {
                Some(symbol) => format!("{}::{symbol}", of.named.name),
                None => "...".into(),
            },
            _ => "Default::default()".into(),
        }
    }

    fn removed(&mut self, from: &RecordType, origins: &[Option<usize>]) {
        for (number, field) in from.fields.iter().enumerate() {
            if !origins.contains(&Some(number)) {
                self.within(&field.name, |inner| {
                    inner.changed(NoteKind::Removed, "removed, its values are dropped");
                });
            }
        }
    }
}

/// The writer's field that a reader's field reads: of its own name, else of an alias that no other field of
/// the reader's bears.
fn origin(field: &Field, from: &RecordType, to: &RecordType) -> Option<usize> {
    let written = |name: &str| from.fields.iter().position(|field| field.name == name);
    let free = |name: &&String| !to.fields.iter().any(|other| other.name == **name);
    written(&field.name).or_else(|| field.aliases.iter().filter(free).find_map(|alias| written(alias)))
}

fn parts(from: &RecordType, sources: Vec<Source>) -> Vec<Part> {
    let skip = |range: std::ops::Range<usize>| from.fields[range].iter().map(|field| Part::Skip(field.of));
    let (mut parts, mut next) = (Vec::new(), 0);
    for source in sources {
        match source {
            Source::Default(bytes) => parts.push(Part::Put(bytes)),
            Source::Field(number, step) => {
                parts.extend(skip(next..number));
                parts.push(Part::Field(step));
                next = number + 1;
            }
        }
    }
    parts.extend(skip(next..from.fields.len()));
    parts
}
