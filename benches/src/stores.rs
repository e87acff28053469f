//! The mission's job on real servers: Kafka to Elasticsearch and Redis.

use anyhow::{Result, ensure};
use millstream::connectors::elasticsearch::{Document, ElasticsearchOptions, ElasticsearchSink};
use millstream::connectors::redis::{RedisOptions, RedisSink, RedisWrite};
use millstream::prelude::*;
use millstream::runtime::{RuntimeOptions, run as run_job};
use millstream_testkit::{Elasticsearch, Kafka, Redis};
use serde::Serialize;

use crate::jobs::Row;
use crate::measure::{forget_peak, peak, time};
use crate::report::Report;
use crate::{Arguments, jobs, kafka};

const EVENTS: f64 = 1_000_000.0;

#[derive(Serialize)]
struct Clicks<'a> {
    user_id: &'a str,
    window_start: Time,
    window_end: Time,
    count: u64,
}

/// Runs it.
pub(crate) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let events = (EVENTS * arguments.scale) as u64;
    let (broker, elasticsearch, redis) = (Kafka::start()?, Elasticsearch::start()?, Redis::start()?);
    let topic = kafka::produce(&broker, events)?;
    let env = Environment::new("stores").with_parallelism(2);
    let clicks = jobs::clicks(&env.source("lines", kafka::source(broker.bootstrap(), &topic)), "userId")?;
    let counts = jobs::counts(&clicks);
    counts.sink_to("elasticsearch", documents(elasticsearch.url()));
    counts.sink_to("redis", RedisSink::new(RedisOptions::at(redis.url()), hash));
    let plan = env.plan()?;
    forget_peak()?;
    let (done, took) = time(|| Ok(run_job(plan, RuntimeOptions::default())?))?;
    let rows = done.operator("count").map_or(0, |count| count.records_out);
    ensure!(rows > 0 && done.dead_letters() == 0, "something went wrong:\n{done}");
    let (wall, cpu) = (took.wall.as_secs_f64(), took.cpu.as_secs_f64());
    report.line(format!(
        "{events} lines, parallelism 2, all servers on the same machine; one run of {wall:.1} s"
    ));
    report.line(format!("rows written to each store    {rows}"));
    report.line(format!("events per second             {:.0}", events as f64 / wall));
    report.line(format!("rows per second, each store   {:.0}", rows as f64 / wall));
    report.line(format!("events per CPU-second         {:.0} (of our process alone)", events as f64 / cpu));
    report.line(format!("peak memory                   {} MiB (of our process alone)", peak()? >> 20));
    Ok(())
}

fn documents(url: &str) -> ElasticsearchSink<Row> {
    let options = ElasticsearchOptions { hosts: vec![url.to_owned()], ..Default::default() };
    ElasticsearchSink::new(options, |(user_id, window_start, window_end, count): &Row| {
        let (window_start, window_end, count) = (*window_start, *window_end, *count);
        let body = Clicks { user_id, window_start, window_end, count };
        Document::new("user_clicks", format!("{user_id}-{window_start}"), &body)
    })
}

fn hash((user, start, end, count): &Row) -> RedisWrite {
    RedisWrite::hash(format!("user_clicks:{user}:{start}")).field("window_end", end).field("count", count)
}
