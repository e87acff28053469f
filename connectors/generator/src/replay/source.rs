//! A source around another one.

use std::sync::Arc;

use millstream_record::Result;
use millstream_stage::OpenContext;
use millstream_stage::raw::RawBatch;
use millstream_stage::sink::OutputLocation;
use millstream_stage::source::{Enumerator, Source, SplitReader};

use super::config::ReplayOptions;
use super::enumerator::ReplayEnumerator;
use super::format::Format;
use super::reader::ReplayReader;

/// Gives the lines of another source as events in JSON: at the speed of their event times, shuffled within
/// bounds, with broken copies mixed in.
///
/// Splits keep their names. Positions count what was given, broken copies included; a message's time is its
/// event time, or that of the newest event before it where it is none itself. What is chosen at random
/// depends on the seed, the split's name and the line alone, so a restored replay goes on with exactly what
/// follows; its state holds what is being shuffled.
#[derive(Clone)]
pub struct Replay<S> {
    inner: S,
    options: Arc<ReplayOptions>,
    format: Arc<dyn Format>,
}

impl<S: Source<Out = RawBatch>> Replay<S> {
    /// Replays the lines of a source.
    pub fn new(inner: S, format: impl Format, options: ReplayOptions) -> Self {
        Self { inner, options: Arc::new(options), format: Arc::new(format) }
    }
}

impl<S: Source<Out = RawBatch>> Source for Replay<S> {
    type Out = RawBatch;

    fn kind(&self) -> &'static str {
        "replay"
    }

    fn validate(&self) -> Result<()> {
        self.options.validate()?;
        self.inner.validate()
    }

    fn reads_output(&self, output: &OutputLocation) -> bool {
        self.inner.reads_output(output)
    }

    fn enumerator(&self) -> Box<dyn Enumerator> {
        Box::new(ReplayEnumerator::new(self.inner.enumerator()))
    }

    fn reader(&self, name: &str, cx: &mut OpenContext) -> Result<Box<dyn SplitReader<Out = RawBatch>>> {
        let (options, format) = (Arc::clone(&self.options), Arc::clone(&self.format));
        Ok(Box::new(ReplayReader::new(self.inner.reader(name, cx)?, options, format)))
    }
}
