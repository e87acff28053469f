//! Deals the parts of the traffic out, all at the start.

use std::sync::Arc;

use millstream_record::Result;
use millstream_record::record::to_bytes;
use millstream_stage::source::{Assignment, Enumerator, EnumeratorContext, EnumeratorEvent, Split, deal};
use millstream_stage::time::Time;

use crate::config::GeneratorOptions;
use crate::split::TrafficSplit;

/// One per job.
pub(crate) struct GeneratorEnumerator {
    options: Arc<GeneratorOptions>,
}

impl GeneratorEnumerator {
    pub(crate) fn new(options: Arc<GeneratorOptions>) -> Self {
        Self { options }
    }
}

impl Enumerator for GeneratorEnumerator {
    fn on(&mut self, cx: &EnumeratorContext, event: EnumeratorEvent) -> Result<Vec<Assignment>> {
        let splits = match event {
            EnumeratorEvent::Start { restored: None } => {
                let start = self.options.start(cx.clock.now());
                (0..self.options.splits).map(|number| split(number, start)).collect()
            }
            EnumeratorEvent::Start { restored: Some(_) } => Vec::new(),
            EnumeratorEvent::Returned { splits } => splits,
            EnumeratorEvent::ReaderReady { .. } | EnumeratorEvent::Tick => return Ok(Vec::new()),
        };
        Ok(deal(splits, cx.parallelism, true))
    }

    fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }
}

fn split(number: u16, start: Time) -> Split {
    let state = TrafficSplit { number, position: 0, start };
    Split { id: format!("generator/{number}").into(), state: to_bytes(&state) }
}
