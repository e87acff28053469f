//! The name of a part of a source, such as a partition of a Kafka topic or a file.

use std::sync::Arc;

/// Names a split for as long as the job lives, for example `clicks-3` (topic and partition).
pub type SplitId = Arc<str>;
