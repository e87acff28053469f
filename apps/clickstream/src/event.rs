//! What the shop's pages send: one event per click, view, cart, favourite or order.

use std::collections::BTreeMap;
use std::time::Duration;

use compact_str::CompactString;
use millstream::connectors::files::{CsvDecoder, Fields};
use millstream::decode::Decoder;
use millstream::json::{FromJson, JsonDecoder, JsonOptions, TimeUnit};
use millstream::time::PlausibleTimes;
use millstream::{DataStream, KeyedStream, Record, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The fields that the jobs need; the decoder looks for these alone. Ids are text as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Record, FromJson)]
pub struct Event {
    /// Empty where the event names none.
    #[json(name = "userId", default)]
    pub user_id: CompactString,
    /// The item.
    #[json(name = "itemId")]
    pub item_id: CompactString,
    /// Its category.
    #[json(name = "categoryId", default)]
    pub category_id: CompactString,
    /// `pv`, `click`, `view`, `cart`, `fav`, `buy`, or whatever else the shop sends.
    #[json(name = "behavior")]
    pub behavior: CompactString,
    /// Event time, epoch milliseconds.
    #[json(name = "timestamp", time)]
    pub timestamp: i64,
    /// The page, where known.
    #[json(name = "page", default)]
    pub page: CompactString,
    /// The device, where known.
    #[json(name = "device", default)]
    pub device: CompactString,
    /// The region, where known.
    #[json(name = "region", default)]
    pub region: CompactString,
}

impl Event {
    /// The dimensions that the event has a value for.
    pub fn dimensions(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("category", &self.category_id),
            ("page", &self.page),
            ("device", &self.device),
            ("region", &self.region),
        ];
        all.into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(dimension, value)| (dimension, value.as_str()))
    }
}

/// Events by user; what is done with them shares one exchange.
pub type ByUser = KeyedStream<CompactString, Event>;

/// Partitions events by user.
pub fn by_user(events: &DataStream<Event>) -> ByUser {
    events.key_by(|event| event.user_id.clone())
}

/// How events are written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Each message or line is one JSON object.
    #[default]
    Jsonl,
    /// Each line is `user,item,category,behavior,seconds`, as in Taobao's UserBehavior.
    TaobaoCsv,
}

/// Names of the JSON fields and the unit of the time.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct EventOptions {
    /// The set of field names.
    pub preset: Preset,
    /// Single field names that differ from the set, such as `userId: uid`.
    pub fields: BTreeMap<String, String>,
    /// The unit of the event's time. Without it, the unit of `preset` counts.
    pub time_unit: Option<TimeUnit>,
    /// Texts in place of a user's id that mean no user, in upper or lower case: such events are counted in no
    /// metric. An empty `userId` never names one.
    pub placeholder_users: Placeholders,
}

/// What producers write for an id that they do not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Placeholders(Vec<String>);

impl Default for Placeholders {
    fn default() -> Self {
        let zero = "00000000-0000-0000-0000-000000000000";
        Self(["null", "(null)", "nil", "none", "undefined", "nan", "0", zero].map(str::to_owned).into())
    }
}

impl Placeholders {
    /// Whether this id is empty or a placeholder.
    pub fn stands_in(&self, id: &str) -> bool {
        let id = id.trim();
        id.is_empty() || self.0.iter().any(|placeholder| placeholder.eq_ignore_ascii_case(id))
    }
}

/// A set of field names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Fields are called `userId itemId categoryId behavior timestamp page device region`; the time is in ms.
    #[default]
    Camel,
    /// Fields are called `user_id item_id category_id behavior ts`, as in Flink's SQL demo; the time is in
    /// ISO-8601.
    Snake,
}

impl Preset {
    /// What to say when a message lacks a field that the other preset would find.
    fn advice(self) -> fn(&[String]) -> Option<&'static str> {
        match self {
            Self::Camel => |keys| other_names(keys, |(camel, snake)| (snake, camel)).then_some(SET_SNAKE),
            Self::Snake => |keys| other_names(keys, |names| names).then_some(SET_CAMEL),
        }
    }
}

const SET_SNAKE: &str = "these are the names of `event: {preset: snake}`";
const SET_CAMEL: &str = "these are the names of `event: {preset: camel}`, which is the default";

// Whether a message has names of the other set and none of its own.
fn other_names(
    keys: &[String],
    order: fn((&'static str, &'static str)) -> (&'static str, &'static str),
) -> bool {
    let ids = SNAKE.iter().filter(|(camel, _)| camel.ends_with("Id")).map(|names| order(*names));
    let has = |name: &str| keys.iter().any(|key| key == name);
    let (others, own): (Vec<_>, Vec<_>) = ids.unzip();
    others.into_iter().any(has) && !own.into_iter().any(has)
}

const SNAKE: [(&str, &str); 4] =
    [("userId", "user_id"), ("itemId", "item_id"), ("categoryId", "category_id"), ("timestamp", "ts")];

impl EventOptions {
    /// The decoder of a format. Events that are further ahead of the host's clock than `max_ahead` are dead
    /// letters, as those from before 2000 are.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream::ErrorKind::Configuration) for a field that no event has.
    pub fn decoder(&self, format: Format, max_ahead: Duration) -> Result<Box<dyn Decoder<Event>>> {
        match format {
            Format::TaobaoCsv => {
                // The public data set holds times from 1902 to 2037.
                let plausible = PlausibleTimes { max_ahead, ..PlausibleTimes::default() };
                Ok(Box::new(CsvDecoder::new(taobao).with_plausible_times(plausible)))
            }
            Format::Jsonl => {
                let options = JsonOptions { max_ahead, ..self.json() };
                Ok(Box::new(JsonDecoder::<Event>::new(&options)?.with_advice(self.preset.advice())))
            }
        }
    }

    fn json(&self) -> JsonOptions {
        let mut options = JsonOptions::default();
        if self.preset == Preset::Snake {
            options.fields.extend(SNAKE.map(|(field, name)| (field.to_owned(), name.to_owned())));
            options.time_unit = TimeUnit::Iso8601;
        }
        options.fields.extend(self.fields.clone());
        options.time_unit = self.time_unit.unwrap_or(options.time_unit);
        options
    }
}

fn taobao(fields: &Fields<'_>) -> Result<(Event, i64), String> {
    let [user, item, category, behavior, seconds] = fields.all()?.map(plain);
    let time: i64 = seconds.parse().map_err(|_| format!("{seconds:?} is no time in seconds"))?;
    let time = time.saturating_mul(1000);
    let event = Event {
        user_id: user.into(),
        item_id: item.into(),
        category_id: category.into(),
        behavior: behavior.into(),
        timestamp: time,
        ..Event::default()
    };
    Ok((event, time))
}

// Spaces around a field are no part of it, nor are quotes behind them, which are no CSV.
fn plain(field: &str) -> &str {
    let field = field.trim();
    field.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(field)
}

#[cfg(test)]
mod tests {
    use millstream::RawBatch;
    use millstream::Rows;
    use millstream::decode::Refused;

    use super::*;

    #[test]
    fn spaces_and_quotes_around_fields_are_no_part_of_an_event() {
        let mut batch = RawBatch::new("a.csv".into());
        let lines = [
            "u1,1,2,pv,1511658000",
            " u1, 1 ,2, pv,1511658000 ",
            "\"u1\",1,2,\"pv\",\"1511658000\"",
            "u1, \"1\", \"2\", \"pv\", 1511658000",
        ];
        lines.iter().for_each(|line| batch.push(line.as_bytes(), 1, 0));
        let mut decoder = EventOptions::default().decoder(Format::TaobaoCsv, Duration::ZERO).unwrap();
        let (mut rows, mut letters) = (Rows::default(), Rows::default());
        let now = 1_511_658_000_000;
        decoder.decode(&batch, now, &mut rows, &mut Refused::new("clicks", &batch, now, &mut letters));
        assert_eq!(letters.len(), 0);
        assert_eq!(rows.rec, vec![rows.rec[0].clone(); 4]);
        assert_eq!((rows.rec[0].item_id.as_str(), rows.rec[0].behavior.as_str()), ("1", "pv"));
    }

    #[test]
    fn names_of_the_other_preset_are_told_with_the_key_to_set() {
        let reason = |preset, message: &str| {
            let options = EventOptions { preset, ..EventOptions::default() };
            let mut decoder = options.decoder(Format::Jsonl, Duration::ZERO).unwrap();
            let mut batch = RawBatch::new("clicks-0".into());
            batch.push(message.as_bytes(), 1, 0);
            let (mut rows, mut letters) = (Rows::default(), Rows::default());
            let now = 1_511_658_000_000;
            decoder.decode(&batch, now, &mut rows, &mut Refused::new("clicks", &batch, now, &mut letters));
            letters.rec[0].reason.clone()
        };
        let snake = r#"{"user_id": 1, "item_id": 2, "category_id": 3, "behavior": "pv", "ts": "2017-11-26T01:00:00Z"}"#;
        let camel = r#"{"userId": 1, "itemId": 2, "behavior": "pv", "timestamp": 1511658000000}"#;
        let mixed = r#"{"userId": 1, "item_id": 2, "behavior": "pv", "timestamp": 1511658000000}"#;
        let advice = reason(Preset::Camel, snake);
        assert_eq!(
            advice,
            "field itemId: is missing; the message has user_id, item_id, category_id, behavior, ts: these are the names of \
             `event: {preset: snake}`"
        );
        let advice = reason(Preset::Snake, camel);
        assert!(advice.ends_with("`event: {preset: camel}`, which is the default"), "{advice}");
        let advice = reason(Preset::Camel, mixed);
        assert!(advice.ends_with("has userId, item_id, behavior, timestamp"), "{advice}");
    }

    #[test]
    fn placeholders_name_nobody_in_any_case_of_letters() {
        let placeholders = Placeholders::default();
        for id in
            ["", " ", "null", "NULL", "undefined", "None", "NaN", "0", "00000000-0000-0000-0000-000000000000"]
        {
            assert!(placeholders.stands_in(id), "{id:?}");
        }
        for id in ["1", "00", "nullable", "noname", "u0"] {
            assert!(!placeholders.stands_in(id), "{id:?}");
        }
        let own: EventOptions = serde_json::from_str(r#"{"placeholder-users": ["guest"]}"#).unwrap();
        assert!(own.placeholder_users.stands_in("Guest") && !own.placeholder_users.stands_in("null"));
    }
}
