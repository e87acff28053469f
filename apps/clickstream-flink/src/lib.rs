//! The click stream of an online shop as a library that Apache Flink runs: what `cargo xtask flink` builds.

millstream::flink::pipeline!(clickstream::app::Shop::without_page());
