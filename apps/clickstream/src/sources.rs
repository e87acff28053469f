//! From a configured source to cleaned events with event time.

use std::sync::Arc;

use millstream::RawBatch;
use millstream::Result;
use millstream::connectors::files::FilesSource;
use millstream::connectors::generator::GeneratorSource;
#[cfg(feature = "servers")]
use millstream::connectors::kafka::KafkaSource;
use millstream::prelude::*;

use crate::dropping::{Counted, Dropping, WithUser};
use crate::event::{Event, Format};
use crate::options::{Options, SourceOptions};

/// Events that every job can use, and what could not be read.
pub struct Events {
    /// Events of users, with event time; only counted behaviours.
    pub counted: DataStream<Event>,
    /// Messages that are no event.
    pub dead_letters: DataStream<DeadLetter>,
}

/// Reads, decodes, cleans.
///
/// # Errors
/// Names of fields that no event has.
pub fn events(options: &Options, env: &Environment) -> Result<Events> {
    let (messages, format) = messages(&options.source, env);
    let parsed =
        messages.decode_with_origins("parse", options.event.decoder(format, options.watermark.max_ahead)?);
    let placeholders = Arc::new(options.event.placeholder_users.clone());
    let behaviors = Arc::new(options.behaviors.clone());
    let watermarks = WatermarkStrategy::bounded_out_of_orderness(options.watermark.max_out_of_orderness)
        .with_idleness(options.watermark.idleness)
        .with_tolerance(options.watermark.tolerance)
        .with_timestamps(|event: &Event| event.timestamp);
    let counted = parsed
        .transform("with-user", move || Dropping::by(WithUser(Arc::clone(&placeholders))))
        .assign_timestamps_and_watermarks("event-time", watermarks)
        .transform("counted", move || Dropping::by(Counted(Arc::clone(&behaviors))));
    Ok(Events { counted, dead_letters: parsed.dead_letters() })
}

fn messages(source: &SourceOptions, env: &Environment) -> (DataStream<RawBatch>, Format) {
    match source {
        #[cfg(feature = "servers")]
        SourceOptions::Kafka(options) => {
            (env.source("clicks", KafkaSource::new(options.clone())), Format::Jsonl)
        }
        SourceOptions::Files(files) => (env.source("clicks", FilesSource::new(files.source())), files.format),
        SourceOptions::Generator(options) => {
            (env.source("clicks", GeneratorSource::new(options.clone())), Format::Jsonl)
        }
        #[cfg(not(feature = "servers"))]
        SourceOptions::LeftOut(left_out) => match *left_out {},
    }
}
