//! The Rust snippets of the book and of the README, as doctests.

macro_rules! chapters {
    ($($name:ident $path:literal)*) => {$(
        #[doc = include_str!(concat!("../../../", $path))]
        mod $name {}
    )*};
}

chapters! {
    readme "README.md"
    readme_zh "README.zh-CN.md"
    getting_started "docs/src/getting-started.md"
    pipelines "docs/src/datastream/pipelines.md"
    event_time "docs/src/datastream/event-time.md"
    state "docs/src/datastream/state.md"
    windows "docs/src/datastream/windows.md"
    side_outputs "docs/src/datastream/side-outputs.md"
    own_operator "docs/src/datastream/own-operator.md"
    own_sink "docs/src/datastream/own-sink.md"
    testing "docs/src/datastream/testing.md"
    connectors_kafka "docs/src/connectors/kafka.md"
    connectors_files "docs/src/connectors/files.md"
    connectors_elasticsearch "docs/src/connectors/elasticsearch.md"
    connectors_redis "docs/src/connectors/redis.md"
    connectors_sqlite "docs/src/connectors/sqlite.md"
    connectors_generator "docs/src/connectors/generator.md"
    running "docs/src/operations/running.md"
    upgrades "docs/src/operations/upgrades.md"
    migration "docs/src/migration.md"
}
