//! The stages of a pipeline while it is described, and what is wrong with it.

use std::collections::BTreeSet;
use std::sync::Arc;

use millstream_protocol::job_settings::JobSettings;
use millstream_record::key_group::DEFAULT_KEY_GROUPS;
use millstream_record::{Error, Record, Result};
use millstream_stage::batch::{EdgeId, RecordCodec};
use millstream_stage::plan::{
    EdgeSpec, Exchange, KeyedSpec, MakeEnumerator, MakeStage, OperatorSpec, Plan, StageId, StageSpec,
};
use millstream_stage::sink::{Guarantee, OutputLocation};

/// A pipeline under construction.
pub(crate) struct Graph {
    pub(crate) name: String,
    pub(crate) parallelism: u16,
    pub(crate) key_groups: u16,
    pub(crate) settings: JobSettings,
    stages: Vec<StageDraft>,
    edges: Vec<EdgeSpec>,
    names: BTreeSet<String>,
    sources: Vec<NamedSource>,
    // By sink: where it writes.
    outputs: Vec<(String, OutputLocation)>,
    errors: Vec<Error>,
}

// A source's name, and whether it reads what is written somewhere.
type NamedSource = (String, Box<dyn Fn(&OutputLocation) -> bool + Send>);

#[derive(Default)]
struct StageDraft {
    operators: Vec<OperatorSpec>,
    parallelism: Option<u16>,
    make: Option<MakeStage>,
    enumerator: Option<MakeEnumerator>,
}

impl Graph {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            parallelism: 1,
            key_groups: DEFAULT_KEY_GROUPS,
            settings: JobSettings::default(),
            stages: Vec::new(),
            edges: Vec::new(),
            names: BTreeSet::new(),
            sources: Vec::new(),
            outputs: Vec::new(),
            errors: Vec::new(),
        }
    }

    pub(crate) fn add_stage(&mut self) -> StageId {
        self.stages.push(StageDraft::default());
        self.stages.len() as StageId - 1
    }

    pub(crate) fn set_stage(&mut self, stage: StageId, make: MakeStage, enumerator: Option<MakeEnumerator>) {
        let draft = self.stage(stage);
        draft.make = Some(make);
        draft.enumerator = enumerator;
    }

    pub(crate) fn set_parallelism(&mut self, stage: StageId, parallelism: u16) {
        let before = self.stage(stage).parallelism.replace(parallelism);
        if before.is_some_and(|before| before != parallelism) {
            self.error(Error::configuration(format!(
                "one stage was given two parallelisms, {} and {parallelism}: operators between two exchanges share one",
                before.unwrap_or_default()
            )));
        }
    }

    pub(crate) fn add_operator(&mut self, stage: StageId, name: &str, kind: &str, after: Option<String>) {
        self.add_keyed(stage, name, kind, after, KeyedSpec::default());
    }

    pub(crate) fn add_sink(
        &mut self,
        stage: StageId,
        name: &str,
        kind: &str,
        after: Option<String>,
        guarantee: Guarantee,
    ) {
        self.add_spec(
            stage,
            OperatorSpec {
                name: name.to_owned(),
                kind: format!("{kind} sink"),
                after,
                sink: Some(guarantee),
                ..OperatorSpec::default()
            },
        );
    }

    pub(crate) fn add_keyed(
        &mut self,
        stage: StageId,
        name: &str,
        kind: &str,
        after: Option<String>,
        keyed: KeyedSpec,
    ) {
        let KeyedSpec { tables, states } = keyed;
        let (name, kind) = (name.to_owned(), kind.to_owned());
        self.add_spec(stage, OperatorSpec { name, kind, after, tables, states, sink: None });
    }

    fn add_spec(&mut self, stage: StageId, operator: OperatorSpec) {
        let OperatorSpec { name, kind, .. } = &operator;
        if name.trim().is_empty() {
            self.error(Error::configuration(format!(
                "a {kind} has no name: give it one, its state is found by that"
            )));
        } else if !self.names.insert(name.clone()) {
            self.error(Error::configuration(format!("two operators are called {name:?}: rename one")));
        }
        self.stage(stage).operators.push(operator);
    }

    pub(crate) fn add_edge<T: Record>(&mut self, from: StageId, to: StageId, exchange: Exchange) -> EdgeId {
        let input = self.edges.iter().filter(|edge| edge.to == to).count() as u16;
        self.edges.push(EdgeSpec { from, to, input, exchange, codec: Arc::new(RecordCodec::<T>::default()) });
        self.edges.len() as EdgeId - 1
    }

    pub(crate) fn check(&mut self, operator: &str, result: Result<()>) {
        if let Err(error) = result {
            self.error(error.in_operator(operator));
        }
    }

    /// Remembers what a source reads, so that no sink of the pipeline may write it.
    pub(crate) fn reads(&mut self, source: &str, reads: impl Fn(&OutputLocation) -> bool + Send + 'static) {
        self.sources.push((source.to_owned(), Box::new(reads)));
    }

    /// Remembers where a sink writes.
    pub(crate) fn writes(&mut self, sink: &str, outputs: Vec<OutputLocation>) {
        self.outputs.extend(outputs.into_iter().map(|output| (sink.to_owned(), output)));
    }

    // A job that read its own output would take its results for events; each of those may be a dead letter,
    // which it would read again.
    fn refuse_own_output(&mut self) {
        for (sink, output) in &self.outputs {
            let reader = self.sources.iter().find(|(_, reads)| reads(output));
            self.errors.extend(reader.map(|(source, _)| {
                let message = format!(
                    "the sink writes to {output}, which source {source:?} reads: the job would take its own output for input. Let one of them be elsewhere"
                );
                Error::configuration(message).in_operator(sink)
            }));
        }
    }

    fn error(&mut self, error: Error) {
        self.errors.push(error);
    }

    fn stage(&mut self, stage: StageId) -> &mut StageDraft {
        &mut self.stages[stage as usize]
    }

    pub(crate) fn plan(&mut self) -> Result<Plan> {
        if self.name.trim().is_empty() {
            self.error(Error::configuration("the job has no name: give it one, its state is found by that"));
        }
        if !self.stages.iter().any(|stage| stage.enumerator.is_some()) {
            self.error(Error::configuration("the pipeline has no source"));
        }
        let stages: Vec<_> = self.stages.iter().map(|draft| self.compile(draft)).collect();
        for stage in &stages {
            if !(1..=self.key_groups).contains(&stage.parallelism) {
                let (name, parallelism, groups) = (&stage.name, stage.parallelism, self.key_groups);
                let message = format!(
                    "stage {name:?}: parallelism {parallelism} is not within 1 and the {groups} key groups"
                );
                self.errors.push(Error::configuration(message));
            }
        }
        self.refuse_own_output();
        self.errors = merged(std::mem::take(&mut self.errors));
        match self.errors.len() {
            0 => Ok(Plan {
                name: self.name.clone(),
                key_groups: self.key_groups,
                stages,
                edges: self.edges.clone(),
            }),
            1 => Err(self.errors.remove(0)),
            _ => Err(all_of(&self.errors)),
        }
    }

    fn compile(&self, draft: &StageDraft) -> StageSpec {
        let names: Vec<_> = draft.operators.iter().map(|operator| operator.name.as_str()).collect();
        StageSpec {
            name: names.join(" -> "),
            parallelism: draft.parallelism.unwrap_or(self.parallelism),
            operators: draft.operators.clone(),
            make: draft.make.clone().expect("each stage is given its factory where it is added"),
            enumerator: draft.enumerator.clone(),
        }
    }
}

// A store's mistake is met by each of the sinks that write to it: it is said once.
fn merged(errors: Vec<Error>) -> Vec<Error> {
    let mut all: Vec<Error> = Vec::new();
    for error in errors {
        match all.iter().position(|known| known.to_string() == error.to_string()) {
            Some(index) => {
                let known = all.remove(index);
                let also = error.places();
                all.insert(index, also.into_iter().fold(known, Error::at));
            }
            None => all.push(error),
        }
    }
    all
}

fn all_of(errors: &[Error]) -> Error {
    let lines: Vec<_> = errors.iter().map(|error| format!("- {}", error.chain())).collect();
    Error::configuration(format!("the pipeline has {} mistakes:\n{}", errors.len(), lines.join("\n")))
}
