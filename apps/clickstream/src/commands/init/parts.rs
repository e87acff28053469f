//! The parts of the file that `init` writes. A comment that begins with a key, such as `#start: latest`, is
//! an example: without its `#` it is in force, and the tests try each of them.

use super::{InitArgs, SinkKind, SourceKind};

/// A text as YAML takes it, whatever is in it. A JSON string is one.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

pub(super) fn head(args: &InitArgs) -> String {
    let name = quoted(&args.name);
    format!(
        "\
# The configuration of a clickstream job.
#
#   clickstream check --config FILE      tries every connection, and starts nothing
#   clickstream run --config FILE        runs the job; the same command goes on where the last run stopped
#   clickstream config-schema            prints a JSON schema, with which an editor completes keys
#
# Lines such as `#start: latest` are examples: remove the `#` to put one in force. A key can also be set for one
# run: `--set parallelism.default=4`, `--set sinks.0.url=redis://other`. ${{NAME}} in a text takes a variable
# of the environment, which keeps passwords out of this file.

# A job is known by its name: under another name it begins anew.
pipeline.name: {name}
# Subtasks per stage. As a rule, one or two for each core.
parallelism.default: 2
"
    )
}

pub(super) fn source(args: &InitArgs) -> String {
    match args.source {
        SourceKind::Kafka => format!(
            "\
# Events are JSON objects, one per message: userId itemId categoryId behavior timestamp (in ms), and where the shop
# sends them page device region. Positions are kept in the job's checkpoints, not in a consumer group.
source:
  type: kafka
  brokers: {}
  topic: {}
  # Where the first run begins: earliest, latest, group-offsets, or a time such as {{timestamp: 2017-11-26}}.
  start: earliest
  # Reads up to the messages that are there at the start, and then ends.
  #bounded: latest
  # Tools that watch the lag of this group see the job. The job does not need it.
  #group-id: click-stream
  # TLS and logins: properties of the Kafka client, by librdkafka's names.
  #client: {{security.protocol: plaintext, client.rack: a}}
{EVENT}",
            quoted(&args.brokers),
            quoted(&args.topic)
        ),
        SourceKind::Files => format!(
            "\
# Files are read once, from beginning to end; then the job is finished. Gzip is unpacked.
source:
  type: files
  # A file, a directory, or a pattern with * and ?.
  path: {}
  # jsonl: a JSON object per line. taobao-csv: user,item,category,behavior,seconds.
  format: jsonl
{EVENT}",
            quoted(&args.path)
        ),
        SourceKind::Generator => format!(
            "\
# The generator makes up the traffic of a shop, for trying things out.
source:
  type: generator
  # Events per second. Without it, events come as fast as they are taken.
  rate: {}
  # The source ends after so many events.
  #count: 1000000
  # How far event times lie behind the newest one, at random.
  disorder: 3s
  # The shares of events that come twice, and of broken records.
  #duplicates: 0.001
  #broken: 0.0005
{WATERMARK}",
            args.rate
        ),
    }
}

const EVENT: &str = "
# The names of the fields, where the shop has other ones. The preset `snake` stands for user_id item_id category_id
# behavior ts, with times in ISO-8601.
#event: {preset: camel, fields: {userId: uid, timestamp: at}, time-unit: ms}

# Event time: how late an event may come and still count, and after how much silence a partition is not waited for.
watermark: {max-out-of-orderness: 5s, idleness: 30s}
";

const WATERMARK: &str = "
# Event time: how late an event may come and still count, and after how much silence a split is not waited for.
watermark: {max-out-of-orderness: 5s, idleness: 30s}
";

pub(super) const JOBS: &str = "\
# The metrics: clicks per user and minute; the hottest items of the last hour; page views and unique visitors.
jobs: [user-clicks, hot-items, pv-uv]
# The behaviours that count, or `all`. Events of others are dropped, and counted as otherBehavior.
behaviors: [pv, click, view]
# Where the shop's hours and days begin.
time-zone: UTC
#hot-items: {top: 10}
#pv-uv: {granularities: [1min, 1h, 1d]}
";

pub(super) const SINKS: &str = "\
# The stores of the results. Each gets all tables: user_clicks, hot_items, pv_uv.
sinks:
";

pub(super) fn sink(sink: SinkKind, args: &InitArgs) -> String {
    match sink {
        SinkKind::Elasticsearch => format!(
            "  # One index per table; the job puts an index template for each in place.
  - type: elasticsearch
    hosts: [{}]
    #index-prefix: shop-
    #username: clickstream
    #password-file: elasticsearch.password
    #ca-file: ca.pem
    #bulk-flush.interval: 1s
",
            quoted(&args.elasticsearch_url)
        ),
        SinkKind::Redis => format!(
            "  # One key per row, such as user_clicks:USER:START. A key expires after its last write.
  - type: redis
    url: {}
    expiry: 7d
    #username: clickstream
    #password-file: redis.password
    #ca-file: ca.pem
",
            quoted(&args.redis_url)
        ),
        SinkKind::Sqlite => format!(
            "  # One table per table: `sqlite3 FILE 'select * from hot_items'`. Its directory must exist.
  - type: sqlite
    path: {}
    # `full` survives a loss of power, `normal` only a crash of the process.
    #synchronous: full
",
            quoted(&args.sqlite_path)
        ),
        SinkKind::Csv => format!(
            "  # One file per table. After a crash, the rows since the last checkpoint are there twice.
  - type: csv
    dir: {}
",
            quoted(&args.csv_dir)
        ),
        SinkKind::Kafka => format!(
            "  # One JSON message per row. The topic must exist; {{table}} in its name gives each table a topic of its own.
  - type: kafka
    brokers: {}
    topic: {}
    # With exactly-once, a read_committed reader sees each row once, when its checkpoint is complete.
    delivery-guarantee: at-least-once
    #transactional-id-prefix: click-stream
    #compression: zstd
",
            quoted(&args.brokers),
            quoted(&args.results_topic)
        ),
    }
}

pub(super) const DEAD_LETTER: &str = "\
# Records that are broken, too late, or refused by a store go here, each with its reason. `clickstream replay` sends
# them again.
dead-letter: {type: files, path: dead-letter.jsonl}
";

pub(super) fn checkpoints(args: &InitArgs) -> String {
    let dir = match &args.checkpoints {
        Some(url) => format!("state.checkpoints.dir: {}\n", quoted(url)),
        None => "#state.checkpoints.dir: file:///var/lib/clickstream/checkpoints\n".to_owned(),
    };
    format!(
        "\
# Checkpoints: after a crash or a stop, the same command goes on from the last one, with every event counted once.
execution.checkpointing.interval: 30s
# Where they are kept: file:///..., s3://bucket/..., or hdfs://namenode:8020/...; without it, below job.dir.
{dir}\
#state.savepoints.dir: file:///var/lib/clickstream/savepoints
# With more than one, a checkpoint that is damaged does not end the job.
state.checkpoints.num-retained: 2
# What is done after a failure: exponential-delay, fixed-delay, failure-rate, or none.
restart-strategy.type: exponential-delay
#restart-strategy.exponential-delay.max-backoff: 1min
# The directory where the job numbers its attempts. Keep it: without it, new results look older than what is there.
#job.dir: .millstream/click-stream
"
    )
}

pub(super) fn page(args: &InitArgs) -> String {
    format!(
        "\
# The live page, Flink's REST API, and /metrics for Prometheus. Anything but loopback needs a password.
rest.port: {}
#rest.bind-address: 127.0.0.1
#rest.password-file: page.password
",
        args.port
    )
}
