//! A source of generated traffic.

use std::sync::Arc;

use millstream_record::Result;
use millstream_stage::OpenContext;
use millstream_stage::raw::RawBatch;
use millstream_stage::source::{Enumerator, Source, SplitReader};

use crate::config::GeneratorOptions;
use crate::enumerator::GeneratorEnumerator;
use crate::reader::GeneratorReader;

/// Gives the events of [`ShopTraffic`](crate::ShopTraffic) as JSON, at a rate by the clock or as fast as they
/// are taken.
///
/// A message's position is the event's. Its splits are named `generator/0`, `generator/1`, …; a restored
/// reader goes on with exactly the events that follow.
#[derive(Clone, Debug)]
pub struct GeneratorSource {
    options: Arc<GeneratorOptions>,
}

impl GeneratorSource {
    /// A source with these settings.
    pub fn new(options: GeneratorOptions) -> Self {
        Self { options: Arc::new(options) }
    }
}

impl Source for GeneratorSource {
    type Out = RawBatch;

    fn kind(&self) -> &'static str {
        "generator"
    }

    fn validate(&self) -> Result<()> {
        self.options.validate()
    }

    fn enumerator(&self) -> Box<dyn Enumerator> {
        Box::new(GeneratorEnumerator::new(Arc::clone(&self.options)))
    }

    fn reader(&self, _: &str, _: &mut OpenContext) -> Result<Box<dyn SplitReader<Out = RawBatch>>> {
        Ok(Box::new(GeneratorReader::new(Arc::clone(&self.options))))
    }
}
