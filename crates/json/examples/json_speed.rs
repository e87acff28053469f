//! Nanoseconds per event: this decoder against `serde_json` with derived structs, for two fields of an event
//! and for all ten.
//!
//! `cargo run --profile fast -p millstream-json --example json_speed`. Each figure is the best of many short
//! runs. With an argument, only the cases run whose name contains it.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a tool that measures and prints"
)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use compact_str::CompactString;
use millstream_json::{FromJson, JsonDecoder, JsonOptions};
use millstream_record::Record;
use millstream_stage::Rows;
use millstream_stage::decode::{Decoder, Refused};
use millstream_stage::raw::RawBatch;
use serde::de::DeserializeOwned;

const EVENTS: usize = 1000;
const RUNS: usize = 1000;
const NOW: i64 = 1_511_700_000_000;

#[derive(Clone, Debug, PartialEq, Record, FromJson, serde::Deserialize)]
struct Two {
    #[json(name = "userId")]
    #[serde(rename = "userId")]
    user: CompactString,
    #[json(time)]
    timestamp: i64,
}

#[derive(Clone, Debug, PartialEq, Record, FromJson, serde::Deserialize)]
struct Ten {
    #[json(name = "eventId")]
    #[serde(rename = "eventId")]
    event: CompactString,
    #[json(name = "userId")]
    #[serde(rename = "userId")]
    user: CompactString,
    #[json(name = "itemId")]
    #[serde(rename = "itemId")]
    item: i64,
    #[json(name = "categoryId")]
    #[serde(rename = "categoryId")]
    category: i64,
    behavior: CompactString,
    #[json(time)]
    timestamp: i64,
    page: CompactString,
    device: CompactString,
    region: CompactString,
    price: f64,
}

fn main() {
    println!("{:34} {:>10} {:>10} {:>10}", "ns per event", "millstream", "serde", "utf8+serde");
    for (name, shape) in [
        ("in order", Shape::InOrder),
        ("shuffled", Shape::Shuffled),
        ("shuffled, escapes, nested", Shape::Rich),
    ] {
        let batch = events(shape);
        let bytes = batch.byte_len() / EVENTS;
        compare::<Two>(&format!("{name}, {bytes} B, 2 fields"), &batch);
        compare::<Ten>(&format!("{name}, {bytes} B, 10 fields"), &batch);
    }
}

fn compare<T: FromJson + DeserializeOwned>(name: &str, batch: &RawBatch) {
    if std::env::args().nth(1).is_some_and(|wanted| !name.contains(&wanted)) {
        return;
    }
    let mut decoder = JsonDecoder::<T>::new(&JsonOptions::default()).unwrap();
    let (mut rows, mut letters) = (Rows::<T>::default(), Rows::default());
    let ours = best(|| {
        rows.clear();
        decoder.decode(batch, NOW, &mut rows, &mut Refused::new("bench", batch, NOW, &mut letters));
        assert_eq!((rows.len(), letters.len()), (EVENTS, 0));
    });
    let mut records = Vec::<T>::new();
    let serde = best(|| {
        records.clear();
        records.extend(batch.iter().map(|message| serde_json::from_slice::<T>(message.bytes).unwrap()));
    });
    let checked = best(|| {
        records.clear();
        records.extend(batch.iter().map(|message| {
            serde_json::from_str::<T>(simdutf8::basic::from_utf8(message.bytes).unwrap()).unwrap()
        }));
    });
    black_box((&rows, &records));
    println!("{name:34} {ours:10.1} {serde:10.1} {checked:10.1}");
}

fn best(mut run: impl FnMut()) -> f64 {
    let time = |_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    };
    (0..RUNS).map(time).fold(f64::MAX, f64::min) * 1e9 / EVENTS as f64
}

#[derive(Clone, Copy, PartialEq)]
enum Shape {
    InOrder,
    Shuffled,
    Rich,
}

fn events(shape: Shape) -> RawBatch {
    let mut batch = RawBatch::new("bench".into());
    let mut random = Random(7);
    for position in 0..EVENTS {
        batch.push(event(&mut random, shape).as_bytes(), position as i64, 0);
    }
    batch
}

fn event(random: &mut Random, shape: Shape) -> String {
    let rich = shape == Shape::Rich;
    let mut pairs = vec![
        format!("\"eventId\":\"e{:09}\"", random.below(1_000_000_000)),
        format!("\"userId\":\"{}\"", random.below(1_000_000)),
        format!("\"itemId\":{}", random.below(5_000_000)),
        format!("\"categoryId\":{}", random.below(5_000_000)),
        format!("\"behavior\":\"{}\"", ["pv", "cart", "fav", "buy"][random.below(4) as usize]),
        format!("\"timestamp\":{}", 1_511_658_000_000 + random.below(1_000_000)),
        format!("\"page\":\"/item/{}\"", random.below(10_000)),
        format!("\"device\":\"{}\"", ["ios", "android", "web"][random.below(3) as usize]),
        format!("\"region\":\"{}\"", ["north", "south", "east"][random.below(3) as usize]),
        format!("\"price\":{}.{:02}", random.below(1000), random.below(100)),
    ];
    if rich {
        pairs[6] = format!("\"page\":\"\\/item\\/{}\"", random.below(10_000));
        pairs.push(format!("\"ctx\":{{\"ab\":[{}],\"v\":null}}", random.below(10)));
    }
    if shape != Shape::InOrder {
        (1..pairs.len()).for_each(|last| pairs.swap(last, random.below(last as u64 + 1) as usize));
    }
    let mut text = String::from("{");
    for (index, pair) in pairs.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        write!(text, "{comma}{pair}").unwrap();
    }
    text + "}"
}

/// SplitMix64: the same events on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
