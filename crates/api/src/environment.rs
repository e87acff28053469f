//! Where a pipeline begins.

use std::sync::Arc;

use millstream_operators::chain::SourceStage;
use millstream_protocol::checkpoint_options::{CheckpointOptions, RestartStrategy};
use millstream_protocol::job_settings::{BackendOptions, JobSettings};
use millstream_record::Result;
use millstream_stage::Stage;
use millstream_stage::plan::Plan;
use millstream_stage::source::Source;
use parking_lot::{Mutex, MutexGuard};

use crate::graph::Graph;
use crate::node::Node;
use crate::stream::DataStream;

/// A pipeline under construction, as Flink's `StreamExecutionEnvironment`. Cheap to clone; all clones mean
/// the same pipeline.
#[derive(Clone)]
pub struct Environment {
    graph: Arc<Mutex<Graph>>,
}

impl Environment {
    /// An empty pipeline for a job of this name. State and epochs are found by the name.
    pub fn new(job: &str) -> Self {
        Self { graph: Arc::new(Mutex::new(Graph::new(job))) }
    }

    /// Sets how many subtasks each stage has unless the stage says otherwise; 1 by default.
    #[must_use]
    pub fn with_parallelism(self, parallelism: u16) -> Self {
        self.graph().parallelism = parallelism;
        self
    }

    /// Sets the number of key groups, which is the upper bound of the parallelism for as long as the state
    /// lives; 128 by default.
    #[must_use]
    pub fn with_key_groups(self, groups: u16) -> Self {
        self.graph().key_groups = groups;
        self
    }

    /// Sets when checkpoints are taken and how many are kept; by default none is taken. The configuration
    /// file (`execution.checkpointing.*`) overrides this, and the command line (`--set`) overrides both; the
    /// same holds for the settings below.
    #[must_use]
    pub fn with_checkpointing(self, options: CheckpointOptions) -> Self {
        self.graph().settings.checkpointing = options;
        self
    }

    /// Sets what is done after a failure: `restart-strategy.*`.
    #[must_use]
    pub fn with_restart_strategy(self, strategy: RestartStrategy) -> Self {
        self.graph().settings.restart = strategy.into();
        self
    }

    /// Sets where checkpoints are kept, a URL such as `file:///var/lib/clicks` or `s3://bucket/clicks`:
    /// `state.checkpoints.dir`.
    #[must_use]
    pub fn with_checkpoints_dir(self, url: &str) -> Self {
        self.graph().settings.checkpoints_dir = Some(url.to_owned());
        self
    }

    /// Sets where savepoints go for which no place was given: `state.savepoints.dir`.
    #[must_use]
    pub fn with_savepoints_dir(self, url: &str) -> Self {
        self.graph().settings.savepoints_dir = Some(url.to_owned());
        self
    }

    /// Sets where keyed state lives: `state.backend.*`. It lives in memory by default.
    #[must_use]
    pub fn with_state_backend(self, backend: BackendOptions) -> Self {
        self.graph().settings.backend = backend;
        self
    }

    /// The settings of checkpoints, restarts and state.
    pub fn settings(&self) -> JobSettings {
        self.graph().settings.clone()
    }

    /// Adds a source.
    pub fn source<S: Source>(&self, name: &str, source: S) -> DataStream<S::Out> {
        let (source, node) = (Arc::new(source), Node::shared());
        let mut graph = self.graph();
        graph.check(name, source.validate());
        let known = Arc::clone(&source);
        graph.reads(name, move |output| known.reads_output(output));
        let stage = graph.add_stage();
        graph.add_operator(stage, name, &format!("{} source", source.kind()), None);
        let (reading, head, title) = (Arc::clone(&source), Arc::clone(&node), Arc::<str>::from(name));
        let make = move || {
            let source: Arc<dyn Source<Out = S::Out>> = Arc::clone(&reading) as _;
            Box::new(SourceStage::new(Arc::clone(&title), source, head.build())) as Box<dyn Stage>
        };
        graph.set_stage(stage, Arc::new(make), Some(Arc::new(move || source.enumerator())));
        drop(graph);
        DataStream::new(self.clone(), stage, node, Some(name))
    }

    /// Checks the pipeline and compiles it.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration), naming every mistake:
    /// operators without a name or with a name that another has, settings of sources, sinks and windows that
    /// can never work, a parallelism above the key groups.
    pub fn plan(&self) -> Result<Plan> {
        self.graph().plan()
    }

    pub(crate) fn graph(&self) -> MutexGuard<'_, Graph> {
        self.graph.lock()
    }
}
