//! The traffic against what is known of the shop: shares, skew, sizes, and what each fault is.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;
use std::time::Duration;

use millstream_generator::{
    Behavior, BrokenKind, Fault, Field, GeneratorOptions, ShopEvent, ShopTraffic, Shot,
};
use serde_json::Value;

const START: i64 = 1_511_658_000_000;

// As many events as the record of the shop has, in one split.
fn options() -> GeneratorOptions {
    GeneratorOptions {
        count: Some(110_300),
        splits: 1,
        event_rate: Some(14.0),
        ..GeneratorOptions::default()
    }
}

fn shots(options: &GeneratorOptions) -> Vec<Shot> {
    ShopTraffic::new(options.clone(), 0, START).collect()
}

// How many different ones there are, and the share of the most frequent percent and tenth of them.
fn skew<K: Hash + Eq>(events: &[Shot], key: impl Fn(&ShopEvent) -> K) -> (usize, f64, f64) {
    let mut counts: HashMap<K, usize> = HashMap::new();
    events.iter().for_each(|shot| *counts.entry(key(&shot.event)).or_default() += 1);
    let mut counts: Vec<_> = counts.into_values().collect();
    counts.sort_unstable_by(|one, other| other.cmp(one));
    let share = |most: usize| counts[..most].iter().sum::<usize>() as f64 / events.len() as f64;
    (counts.len(), share(counts.len() / 100), share(counts.len() / 10))
}

fn assert_near(what: &str, seen: f64, wanted: f64, tolerance: f64) {
    assert!((seen - wanted).abs() <= tolerance, "{what}: {seen} instead of {wanted} +- {tolerance}");
}

#[test]
fn shares_and_skew_are_those_of_the_shop() {
    let events = shots(&options());
    let share = |wanted| {
        events.iter().filter(|shot| shot.event.behavior == wanted).count() as f64 / events.len() as f64
    };
    assert_near("pv", share(Behavior::Pv), 0.892, 0.004);
    assert_near("cart", share(Behavior::Cart), 0.055, 0.003);
    assert_near("fav", share(Behavior::Fav), 0.031, 0.003);
    assert_near("buy", share(Behavior::Buy), 0.023, 0.003);
    let (users, percent, tenth) = skew(&events, |event| event.user_id);
    assert_near("users", users as f64, 66_454.0, 1500.0);
    assert_near("top 1 % of users", percent, 0.050, 0.005);
    assert_near("top 10 % of users", tenth, 0.270, 0.02);
    let (items, percent, tenth) = skew(&events, |event| event.item_id);
    assert_near("items", items as f64, 84_793.0, 1500.0);
    assert_near("top 1 % of items", percent, 0.064, 0.006);
    assert_near("top 10 % of items", tenth, 0.256, 0.02);
    let (categories, percent, tenth) = skew(&events, |event| event.category_id);
    assert_near("categories", categories as f64, 3913.0, 150.0);
    assert_near("top 1 % of categories", percent, 0.49, 0.04);
    assert_near("top 10 % of categories", tenth, 0.81, 0.04);
}

#[test]
fn an_item_has_one_category_and_one_price_and_a_user_one_device() {
    let (mut items, mut users) = (HashMap::new(), HashMap::new());
    for Shot { event, .. } in shots(&options()) {
        let item = (event.category_id, event.price);
        assert_eq!(*items.entry(event.item_id).or_insert(item), item);
        let user = (event.device, event.region, event.ip);
        assert_eq!(*users.entry(event.user_id).or_insert(user), user);
    }
}

#[test]
fn the_default_event_has_ten_fields_and_some_190_bytes() {
    let options = options();
    let (mut bytes, mut count) = (0, 0);
    for shot in shots(&options).iter().take(10_000) {
        let mut json = Vec::new();
        shot.write(&options, &mut json);
        let event: BTreeMap<String, Value> = serde_json::from_slice(&json).unwrap();
        assert_eq!(event.len(), 10);
        assert_eq!(event["userId"], shot.event.user_id.to_string());
        assert_eq!(event["timestamp"], shot.event.timestamp);
        (bytes, count) = (bytes + json.len(), count + 1);
    }
    assert_near("mean size", bytes as f64 / f64::from(count), 195.0, 15.0);
}

#[test]
fn optional_fields_can_be_chosen() {
    let fields = vec![Field::Ip, Field::Price];
    let options = GeneratorOptions { fields, ..options() };
    let mut json = Vec::new();
    ShopTraffic::new(options.clone(), 0, START).next().unwrap().write(&options, &mut json);
    let event: BTreeMap<String, Value> = serde_json::from_slice(&json).unwrap();
    let names: Vec<_> = event.keys().map(String::as_str).collect();
    assert_eq!(names, ["behavior", "categoryId", "ip", "itemId", "price", "timestamp", "userId"]);
    let part = |part: &str| part.parse::<u8>().is_ok();
    assert!(
        event["ip"].as_str().unwrap().starts_with("10.")
            && event["ip"].as_str().unwrap().split('.').all(part)
    );
    assert!(event["price"].as_f64().unwrap() >= 1.0);
}

#[test]
fn event_time_is_in_order_unless_disorder_is_asked_for_and_then_within_its_bound() {
    let times = |options: &GeneratorOptions| -> Vec<i64> {
        shots(options).iter().map(|shot| shot.event.timestamp).collect()
    };
    let ordered = times(&options());
    assert!(ordered.is_sorted() && ordered[0] == START);
    assert_eq!(ordered[14 * 60] - START, 60_000);
    let disorder = Duration::from_secs(5);
    let shuffled = times(&GeneratorOptions { disorder, duplicates: 0.05, ..options() });
    let (mut newest, mut farthest) = (i64::MIN, 0);
    for time in shuffled {
        newest = newest.max(time);
        farthest = farthest.max(newest - time);
    }
    assert!((4500..=5000).contains(&farthest), "{farthest}");
}

#[test]
fn faults_come_in_their_shares_and_are_what_they_say() {
    let options = GeneratorOptions {
        broken: 0.05,
        duplicates: 0.04,
        late: 0.03,
        future: 0.02,
        ancient: 0.01,
        late_by: Duration::from_mins(10),
        ..options()
    };
    let shots = shots(&options);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for shot in &shots {
        let time = shot.event.timestamp;
        let newest = START + shot.position as i64 * 1000 / 14;
        let fault = match shot.fault {
            Fault::None => "none",
            Fault::Duplicate(original) => {
                let original = &shots[usize::try_from(original).unwrap()];
                assert_eq!((original.fault, &original.event), (Fault::None, &shot.event));
                assert!(newest - time <= 1000 + 1000 / 14);
                "duplicate"
            }
            Fault::Late => {
                assert!((600_000..=1_200_001).contains(&(newest - time)), "{}", newest - time);
                "late"
            }
            Fault::Future => {
                assert_eq!(jiff::Timestamp::from_millisecond(time).unwrap().to_string()[..4], *"2037");
                "future"
            }
            Fault::Ancient => {
                assert_eq!(jiff::Timestamp::from_millisecond(time).unwrap().to_string()[..4], *"1902");
                "ancient"
            }
            Fault::Broken(_) => "broken",
        };
        *counts.entry(fault).or_default() += 1;
    }
    let wanted = [
        ("broken", 0.05),
        ("duplicate", 0.04),
        ("late", 0.03),
        ("future", 0.02),
        ("ancient", 0.01),
        ("none", 0.85),
    ];
    for (fault, share) in wanted {
        assert_near(fault, counts[fault] as f64 / shots.len() as f64, share, 0.004);
    }
}

#[test]
fn broken_records_are_broken_in_all_ways_and_the_others_are_whole() {
    let options = GeneratorOptions { broken: 0.3, count: Some(5000), ..options() };
    let mut kinds = HashSet::new();
    for shot in shots(&options) {
        let mut bytes = Vec::new();
        shot.write(&options, &mut bytes);
        let json: Option<Value> =
            std::str::from_utf8(&bytes).ok().and_then(|text| serde_json::from_str(text).ok());
        match shot.fault {
            Fault::Broken(BrokenKind::NullUser) => assert!(json.unwrap()["userId"].is_null()),
            Fault::Broken(BrokenKind::WrongType) => assert!(!json.unwrap()["timestamp"].is_number()),
            Fault::Broken(_) => assert_eq!(json, None),
            _ => assert!(json.unwrap()["userId"].is_string()),
        }
        if let Fault::Broken(kind) = shot.fault {
            kinds.insert(kind);
        }
    }
    assert_eq!(kinds.len(), BrokenKind::ALL.len());
}

#[test]
fn hot_users_have_their_share() {
    let options = GeneratorOptions { hot: 0.5, hot_users: 2, count: Some(20_000), ..options() };
    let events = shots(&options);
    let mut counts: HashMap<u64, usize> = HashMap::new();
    events.iter().for_each(|shot| *counts.entry(shot.event.user_id).or_default() += 1);
    let mut counts: Vec<_> = counts.into_values().collect();
    counts.sort_unstable_by(|one, other| other.cmp(one));
    for count in &counts[..2] {
        assert_near("a hot user", *count as f64 / events.len() as f64, 0.25, 0.02);
    }
    assert!(counts[2] < 100, "{}", counts[2]);
}

// Whoever publishes a result with its seed relies on this.
#[test]
fn a_seed_is_a_promise() {
    let options = GeneratorOptions { seed: 42, disorder: Duration::from_secs(5), ..options() };
    let mut json = Vec::new();
    let shot = ShopTraffic::new(options.clone(), 0, START).nth(1000).unwrap();
    shot.write(&options, &mut json);
    assert_eq!(String::from_utf8(json).unwrap(), EVENT_1000_OF_SEED_42);
}

const EVENT_1000_OF_SEED_42: &str = concat!(
    r#"{"eventId":"0-1000","userId":"4849","itemId":"3629407","categoryId":"1003971","behavior":"pv","#,
    r#""timestamp":1511658067437,"page":"detail","device":"android","region":"zhejiang","sessionId":"3125150592"}"#,
);
