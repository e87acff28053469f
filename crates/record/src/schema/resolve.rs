//! Compiles a writer's and a reader's schema to a program, and notes what differs.

use std::collections::BTreeMap;

use super::Resolution;
use super::compatibility::{Note, NoteKind};
use super::parse::{EnumType, Schema, Type, TypeId};
use super::program::{Program, Step, StepId};

/// Resolves a pair of schemas.
pub(super) fn resolve(writer: Schema, reader: &Schema) -> Resolution {
    let mut resolver = Resolver::new(&writer, reader);
    let root = resolver.value(writer.root, reader.root);
    let Resolver { steps, changes, refusals, .. } = resolver;
    let mut program = Program { writer, steps, root };
    program.simplify();
    Resolution { changes, refusals, program }
}

pub(super) struct Resolver<'a> {
    pub(super) writer: &'a Schema,
    pub(super) reader: &'a Schema,
    /// The pairs of records that are being resolved just now, outermost to innermost.
    pub(super) open: BTreeMap<(TypeId, TypeId), StepId>,
    pub(super) steps: Vec<(TypeId, Step)>,
    path: Vec<String>,
    changes: Vec<Note>,
    pub(super) refusals: Vec<Note>,
}

impl<'a> Resolver<'a> {
    fn new(writer: &'a Schema, reader: &'a Schema) -> Self {
        let (open, steps) = (BTreeMap::new(), Vec::new());
        Self { writer, reader, open, steps, path: Vec::new(), changes: Vec::new(), refusals: Vec::new() }
    }

    pub(super) fn push(&mut self, of: TypeId, step: Step) -> StepId {
        self.steps.push((of, step));
        self.steps.len() - 1
    }

    pub(super) fn changed(&mut self, kind: NoteKind, text: impl Into<String>) {
        self.changes.push(Note { path: self.path_text(), text: text.into(), kind });
    }

    pub(super) fn refused(&mut self, text: impl Into<String>) {
        self.refusals.push(Note { path: self.path_text(), text: text.into(), kind: NoteKind::Other });
    }

    fn path_text(&self) -> String {
        self.path.join(".").replace(".[]", "[]")
    }

    /// Does something one level deeper.
    pub(super) fn within<T>(&mut self, name: &str, act: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(name.to_owned());
        let done = act(self);
        self.path.pop();
        done
    }

    /// The step that reads a value of the type `w` as one of the type `r`.
    pub(super) fn value(&mut self, w: TypeId, r: TypeId) -> StepId {
        let (writer, reader) = (self.writer, self.reader);
        match (writer.get(w), reader.get(r)) {
            (Type::Union(from), Type::Union(to)) => self.union(w, from, r, to),
            (Type::Union(from), _) => self.out_of_union(w, from, r),
            (_, Type::Union(to)) => {
                self.changed(
                    NoteKind::Other,
                    format!("{} becomes {}", writer.describe(w), reader.describe(r)),
                );
                self.best_branch(w, r, to)
            }
            (Type::Record(from), Type::Record(to)) => self.record(w, r, from, to),
            (Type::Enum(from), Type::Enum(to)) => self.enumeration(w, from, to),
            (Type::Array(from), Type::Array(to)) => {
                let item = self.within("[]", |inner| inner.value(*from, *to));
                self.push(w, Step::Array(item))
            }
            (from, to) => match plain(from, to) {
                Some(step) => self.plain(w, from, to, step),
                None => self.misfit(w, r),
            },
        }
    }

    fn plain(&mut self, w: TypeId, from: &Type, to: &Type, step: Step) -> StepId {
        let (from, to) = (from.plain_name(), to.plain_name());
        if from != to {
            let textual = from == "string" || to == "string";
            let kind = if to == "long" { NoteKind::Equal } else { NoteKind::Other };
            self.changed(kind, format!("{from} {} {to}", if textual { "read as" } else { "widened to" }));
        }
        self.push(w, step)
    }

    fn misfit(&mut self, w: TypeId, r: TypeId) -> StepId {
        let (from, to) = (self.writer.describe(w), self.reader.describe(r));
        let reason = match (self.writer.get(w), self.reader.get(r)) {
            (Type::Long | Type::Float | Type::Double, Type::Int | Type::Long | Type::Float) => {
                format!("{from} cannot be narrowed to {to}: keep {from}, or give the new field another name")
            }
            _ => format!("{from} cannot become {to}: give the new field another name"),
        };
        self.refused(&reason);
        self.push(w, Step::Fail(reason))
    }

    fn enumeration(&mut self, w: TypeId, from: &EnumType, to: &EnumType) -> StepId {
        if !to.named.accepts(&from.named) {
            self.other_name(&from.named.name, &to.named.name);
        } else if from.named.name != to.named.name {
            self.changed(NoteKind::Equal, format!("enum `{}` is now `{}`", from.named.name, to.named.name));
        }
        let symbols = from.symbols.iter().map(|symbol| self.symbol(symbol, to)).collect();
        let added: Vec<_> = to.symbols.iter().filter(|symbol| !from.symbols.contains(symbol)).collect();
        if !added.is_empty() {
            let kind = if to.symbols.starts_with(&from.symbols) { NoteKind::Equal } else { NoteKind::Other };
            self.changed(kind, format!("symbols added: {}", list(&added)));
        } else if from.symbols.len() == to.symbols.len() && from.symbols != to.symbols {
            self.changed(NoteKind::Other, "symbols in another order");
        }
        self.push(w, Step::Enum(symbols))
    }

    fn symbol(&mut self, symbol: &str, to: &EnumType) -> Result<i64, String> {
        let default = to.default.filter(|_| !to.symbols.iter().any(|known| known == symbol));
        if let Some(default) = default {
            self.changed(
                NoteKind::Other,
                format!("symbol `{symbol}` is removed and becomes `{}`", to.symbols[default]),
            );
        }
        let index = to.symbols.iter().position(|known| known == symbol).or(default);
        index.map(|index| index as i64).ok_or_else(|| {
            let name = &to.named.name;
            let reason = format!(
                "symbol `{symbol}` is removed from enum `{name}`, which has no default: keep it, or mark the variant that takes its \
                 place with #[record(default)]"
            );
            self.refused(&reason);
            reason
        })
    }

    /// Refuses a type that goes by another name.
    pub(super) fn other_name(&mut self, from: &str, to: &str) {
        self.refused(format!(
            "`{from}` was written, `{to}` is wanted: if it was only renamed, mark `{to}` with #[record(alias = \"{from}\")]"
        ));
    }

    fn union(&mut self, w: TypeId, from: &[TypeId], r: TypeId, to: &[TypeId]) -> StepId {
        let union = self.branches(w, from, |inner, branch| inner.best_branch(branch, r, to));
        if from.len() != to.len() || !self.in_place(union) {
            self.changed(
                NoteKind::Other,
                format!("{} becomes {}", self.writer.describe(w), self.reader.describe(r)),
            );
        }
        union
    }

    fn in_place(&self, union: StepId) -> bool {
        let Step::Union(branches) = &self.steps[union].1 else { return false };
        let place = |step: StepId| match &self.steps[step].1 {
            Step::Branch(place, _) => usize::try_from(*place).ok(),
            _ => None,
        };
        branches.iter().enumerate().all(|(number, step)| place(*step) == Some(number))
    }

    fn out_of_union(&mut self, w: TypeId, from: &[TypeId], r: TypeId) -> StepId {
        self.changed(
            NoteKind::Other,
            format!("{} becomes {}", self.writer.describe(w), self.reader.describe(r)),
        );
        self.branches(w, from, |inner, branch| inner.value(branch, r))
    }

    // A branch that does not fit is a matter of the data, unless none fits.
    fn branches(
        &mut self,
        w: TypeId,
        from: &[TypeId],
        resolve: impl Fn(&mut Self, TypeId) -> StepId,
    ) -> StepId {
        let tried: Vec<_> = from.iter().map(|branch| self.attempt(|inner| resolve(inner, *branch))).collect();
        let fits = |branch: &TypeId| !matches!(self.writer.get(*branch), Type::Null);
        let some = from.iter().zip(&tried).any(|(branch, tried)| tried.is_ok() && fits(branch));
        let mut steps = Vec::new();
        for (branch, tried) in from.iter().zip(tried) {
            steps.push(tried.unwrap_or_else(|reasons| self.lost_branch(*branch, reasons, some)));
        }
        self.push(w, Step::Union(steps))
    }

    fn lost_branch(&mut self, branch: TypeId, reasons: Vec<Note>, others_fit: bool) -> StepId {
        let name = self.writer.describe(branch);
        let null = matches!(self.writer.get(branch), Type::Null);
        if others_fit {
            self.changed(
                NoteKind::Other,
                format!("a restore fails if any value is {name}: it has no place any more"),
            );
        } else if !null || self.refusals.is_empty() {
            self.refusals.extend(reasons);
        }
        let place = self.path_text();
        self.push(branch, Step::Fail(format!("`{place}`: a value is {name}, which has no place any more")))
    }

    /// The step from a plain type into the branch of a union that suits it best.
    fn best_branch(&mut self, w: TypeId, r: TypeId, to: &[TypeId]) -> StepId {
        let mut reasons = None;
        for branch in self.candidates(w, to) {
            match self.attempt(|inner| inner.value(w, to[branch])) {
                Ok(step) => return self.push(w, Step::Branch(branch as i64, step)),
                Err(refusals) => reasons = reasons.or(Some(refusals)),
            }
        }
        match reasons {
            None => self.misfit(w, r),
            Some(reasons) => {
                self.refusals.extend(reasons);
                self.push(w, Step::Fail(format!("a value is {}", self.writer.describe(w))))
            }
        }
    }

    // First those of its own kind and name, then of its kind, then those that it widens to.
    fn candidates(&self, w: TypeId, to: &[TypeId]) -> Vec<usize> {
        let from = self.writer.get(w);
        let rank = |branch: TypeId| match (from, self.reader.get(branch)) {
            (Type::Record(from), Type::Record(to)) => Some(usize::from(!to.named.accepts(&from.named))),
            (Type::Enum(from), Type::Enum(to)) => Some(usize::from(!to.named.accepts(&from.named))),
            (from, to) if from.plain_name() == to.plain_name() => Some(0),
            (from, to) => plain(from, to).map(|_| 2),
        };
        let mut ranked: Vec<_> =
            to.iter().enumerate().filter_map(|(index, branch)| Some((rank(*branch)?, index))).collect();
        ranked.sort_unstable();
        ranked.into_iter().map(|(_, index)| index).collect()
    }

    /// Tries something whose refusal is not yet the whole's.
    fn attempt(&mut self, act: impl FnOnce(&mut Self) -> StepId) -> Result<StepId, Vec<Note>> {
        let (changes, refusals) = (self.changes.len(), self.refusals.len());
        let step = act(self);
        if self.refusals.len() == refusals {
            return Ok(step);
        }
        self.changes.truncate(changes);
        Err(self.refusals.split_off(refusals))
    }
}

/// How a type without parts is read as another, where Avro allows it.
fn plain(from: &Type, to: &Type) -> Option<Step> {
    Some(match (from, to) {
        (Type::Null, Type::Null)
        | (Type::Boolean, Type::Boolean)
        | (Type::Int, Type::Int | Type::Long)
        | (Type::Long, Type::Long)
        | (Type::Float, Type::Float)
        | (Type::Double, Type::Double)
        | (Type::Bytes, Type::Bytes)
        | (Type::String, Type::String | Type::Bytes) => Step::Copy,
        (Type::Bytes, Type::String) => Step::Text,
        (Type::Int | Type::Long, Type::Float) => Step::LongToFloat,
        (Type::Int | Type::Long, Type::Double) => Step::LongToDouble,
        (Type::Float, Type::Double) => Step::FloatToDouble,
        _ => return None,
    })
}

fn list(names: &[&String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
