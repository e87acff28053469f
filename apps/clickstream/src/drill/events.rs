//! Events of a drill: made up, sent to Kafka while blows fall, and remembered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use millstream::{Error, Result};
use rand::{RngExt, SeedableRng};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};

use super::DrillPlan;
use super::config::Site;
use super::truth::Truth;

/// Partitions of the topic of events.
pub(super) const PARTITIONS: i32 = 4;

// Two hours of event time, whatever the rate: every window is used, none is empty for long.
const STEP: i64 = 25;

// Less than what the watermark allows for, so that no event is late.
const DISORDER: i64 = 3000;

/// One event.
#[derive(Clone, Copy, Debug)]
pub struct DrillEvent {
    /// The user.
    pub user: u64,
    /// The item.
    pub item: u64,
    /// Its category.
    pub category: u64,
    /// Event time, epoch milliseconds.
    pub time: i64,
    /// Whether it is a view; else it is a purchase, which no metric counts.
    pub view: bool,
}

impl DrillEvent {
    /// Whether the metrics count it.
    pub fn counts(&self) -> bool {
        self.view
    }

    fn json(&self) -> String {
        let Self { user, item, category, time, view } = self;
        let behavior = if *view { "pv" } else { "buy" };
        format!(
            r#"{{"userId":"{user}","itemId":"{item}","categoryId":"{category}","behavior":"{behavior}","timestamp":{time}}}"#
        )
    }
}

/// Sends events until it is told to finish.
pub struct Producer {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<DrillEvent>>>,
}

impl Producer {
    /// Starts to send.
    ///
    /// # Errors
    /// Kafka settings that cannot work.
    pub fn start(site: &Site, plan: &DrillPlan) -> Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let sender = Sender::new(site, plan)?;
        let ends = Arc::clone(&over);
        let thread = Builder::new().name("drill-events".into()).spawn(move || sender.run(&ends));
        let thread =
            thread.map_err(|error| Error::configuration("no thread can be started").caused_by(error))?;
        Ok(Self { over, thread })
    }

    /// Stops, closes every window by an event of much later in each partition, and tells what was sent.
    ///
    /// # Errors
    /// Events that Kafka did not take within minutes.
    pub fn finish(self, _: &Site) -> Result<Truth> {
        self.over.store(true, Ordering::Relaxed);
        let sent = self.thread.join().map_err(|_| Error::bug("the drill's producer panicked"))??;
        Ok(Truth::of(sent))
    }
}

struct Sender {
    kafka: ThreadedProducer<DefaultProducerContext>,
    topic: String,
    start: i64,
    rate: u32,
    seed: u64,
}

impl Sender {
    fn new(site: &Site, plan: &DrillPlan) -> Result<Self> {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &site.brokers);
        // Kafka may be killed too: nothing is given up, nothing sent twice.
        client.set("enable.idempotence", "true").set("message.timeout.ms", "600000").set("linger.ms", "5");
        let kafka = client.create().map_err(away)?;
        Ok(Self {
            kafka,
            topic: site.events_topic.clone(),
            start: site.start,
            rate: plan.rate,
            seed: plan.seed,
        })
    }

    fn run(self, over: &AtomicBool) -> Result<Vec<DrillEvent>> {
        const TICK: Duration = Duration::from_millis(10);
        let mut chance = rand_chacha::ChaCha8Rng::seed_from_u64(self.seed ^ 0x00d4_1177);
        let per_tick = (self.rate / 100).max(1);
        let mut sent = Vec::new();
        while !over.load(Ordering::Relaxed) {
            for _ in 0..per_tick {
                let event = self.make(&mut chance, sent.len() as i64);
                self.send(&event.json(), chance.random_range(0..PARTITIONS))?;
                sent.push(event);
            }
            std::thread::park_timeout(TICK);
        }
        let last = sent.iter().map(|event| event.time).max().unwrap_or(self.start);
        let closing = DrillEvent { user: 1, item: 1, category: 1, time: last + 3 * 3_600_000, view: false };
        for partition in 0..PARTITIONS {
            self.send(&closing.json(), partition)?;
        }
        self.kafka.flush(Duration::from_secs(300)).map_err(away)?;
        Ok(sent)
    }

    // Few items and categories are hot; users come back within the minute now and then.
    fn make(&self, chance: &mut impl rand::Rng, number: i64) -> DrillEvent {
        let skewed = |chance: &mut dyn rand::Rng, most: u64| {
            let upto = chance.random_range(1..=most);
            chance.random_range(1..=upto)
        };
        DrillEvent {
            user: chance.random_range(1..=3000),
            item: skewed(chance, 2000),
            category: skewed(chance, 40),
            time: self.start + number * STEP - chance.random_range(0..DISORDER),
            view: chance.random_ratio(9, 10),
        }
    }

    fn send(&self, json: &str, partition: i32) -> Result<()> {
        let mut record = BaseRecord::<(), str>::to(&self.topic).payload(json).partition(partition);
        loop {
            match self.kafka.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    std::thread::park_timeout(Duration::from_millis(20));
                }
                Err((error, _)) => return Err(away(error)),
            }
        }
    }
}

fn away(error: KafkaError) -> Error {
    Error::restart("Kafka does not take the drill's events").caused_by(error)
}
