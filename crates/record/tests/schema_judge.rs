//! Our resolution is Avro's: an independent implementation reads the writer's bytes as the reader's type and
//! sees what we wrote for it.
#![allow(clippy::panic, clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

use apache_avro::types::Value;
use apache_avro::{Schema, from_avro_datum, to_avro_datum};
use millstream_record::schema::Resolution;
use proptest::prelude::*;

/// A type as it was written and as it is read.
#[derive(Clone, Debug)]
enum Pair {
    Plain(&'static str, &'static str),
    Array(Box<Pair>),
    /// An optional on both sides.
    Optional(Box<Pair>),
    /// An optional of the reader's only.
    Wrapped(Box<Pair>),
    /// Numbers of symbols: written, read. Symbols that are missing fall to the first.
    Enum(usize, usize),
    Record(Vec<Field>, bool),
}

#[derive(Clone, Debug)]
enum Field {
    Kept(Pair),
    Removed(Pair),
    Added(Pair),
}

const PLAIN: &[(&str, &str)] = &[
    ("boolean", "boolean"),
    ("int", "int"),
    ("int", "long"),
    ("int", "float"),
    ("int", "double"),
    ("long", "long"),
    ("long", "float"),
    ("long", "double"),
    ("float", "double"),
    ("double", "double"),
    ("string", "string"),
    ("string", "bytes"),
    ("bytes", "string"),
    ("bytes", "bytes"),
];

fn pair() -> impl Strategy<Value = Pair> {
    let plain = prop::sample::select(PLAIN).prop_map(|(from, to)| Pair::Plain(from, to));
    let leaf = prop_oneof![plain, (1..4_usize, 1..4_usize).prop_map(|(from, to)| Pair::Enum(from, to))];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let field = prop_oneof![
            4 => inner.clone().prop_map(Field::Kept),
            1 => inner.clone().prop_map(Field::Removed),
            1 => inner.clone().prop_map(Field::Added),
        ];
        let record = (prop::collection::vec(field, 1..6), any::<bool>());
        let bare = |pair: &Pair| !matches!(pair, Pair::Optional(_) | Pair::Wrapped(_));
        let bare = inner.clone().prop_filter("Avro has no union within a union", bare).prop_map(Box::new);
        prop_oneof![
            inner.prop_map(|items| Pair::Array(Box::new(items))),
            bare.clone().prop_map(Pair::Optional),
            bare.prop_map(Pair::Wrapped),
            record.prop_map(|(fields, reversed)| Pair::Record(fields, reversed)),
        ]
    })
}

/// The schemas of a pair, and the JSON of a default of the reader's.
fn render(pair: &Pair, names: &mut usize) -> [String; 3] {
    match pair {
        Pair::Plain(from, to) => [format!("\"{from}\""), format!("\"{to}\""), default_of(to).into()],
        Pair::Array(items) => {
            let [from, to, item] = render(items, names);
            let array = |items| format!("{{\"type\":\"array\",\"items\":{items}}}");
            [array(from), array(to), format!("[{item},{item}]")]
        }
        Pair::Optional(inner) => {
            let [from, to, _] = render(inner, names);
            [format!("[\"null\",{from}]"), format!("[\"null\",{to}]"), "null".into()]
        }
        Pair::Wrapped(inner) => {
            let [from, to, _] = render(inner, names);
            [from, format!("[\"null\",{to}]"), "null".into()]
        }
        Pair::Enum(from, to) => {
            *names += 1;
            [enumeration(*names, *from), enumeration(*names, *to), "\"S0\"".into()]
        }
        Pair::Record(fields, reversed) => record(fields, *reversed, names),
    }
}

fn default_of(plain: &str) -> &'static str {
    match plain {
        "boolean" => "true",
        "int" | "long" => "-77",
        "float" | "double" => "0.25",
        _ => "\"text\"",
    }
}

fn enumeration(name: usize, symbols: usize) -> String {
    let symbols: Vec<_> = (0..symbols).map(|symbol| format!("\"S{symbol}\"")).collect();
    format!(
        "{{\"type\":\"enum\",\"name\":\"E{name}\",\"symbols\":[{}],\"default\":\"S0\"}}",
        symbols.join(",")
    )
}

fn record(fields: &[Field], reversed: bool, names: &mut usize) -> [String; 3] {
    *names += 1;
    let name = *names;
    let (mut from, mut to, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for (number, field) in fields.iter().enumerate() {
        let (Field::Kept(pair) | Field::Removed(pair) | Field::Added(pair)) = field;
        let [writer, reader, default] = render(pair, names);
        if !matches!(field, Field::Added(_)) {
            from.push(format!("{{\"name\":\"f{number}\",\"type\":{writer}}}"));
        }
        if !matches!(field, Field::Removed(_)) {
            to.push(format!("{{\"name\":\"f{number}\",\"type\":{reader},\"default\":{default}}}"));
            values.push(format!("\"f{number}\":{default}"));
        }
    }
    if reversed {
        to.reverse();
    }
    let record = |fields: Vec<String>| {
        format!("{{\"type\":\"record\",\"name\":\"R{name}\",\"fields\":[{}]}}", fields.join(","))
    };
    [record(from), record(to), format!("{{{}}}", values.join(","))]
}

/// SplitMix64: values from a seed.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)) >> (mixed % 60)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn text(&mut self) -> String {
        let letters = ['a', 'ж', '\u{1f6d2}', '"'];
        (0..self.below(5)).map(|_| letters[self.below(4)]).collect()
    }

    fn value(&mut self, schema: &Schema) -> Value {
        match schema {
            Schema::Null => Value::Null,
            Schema::Boolean => Value::Boolean(self.next().is_multiple_of(2)),
            Schema::Int => Value::Int(self.next() as i32),
            Schema::Long => Value::Long(self.next() as i64),
            Schema::Float => Value::Float(self.next() as f32 / 3.0),
            Schema::Double => Value::Double(self.next() as f64 / 3.0),
            Schema::Bytes => Value::Bytes(self.text().into_bytes()),
            Schema::String => Value::String(self.text()),
            Schema::Array(of) => Value::Array((0..self.below(4)).map(|_| self.value(&of.items)).collect()),
            Schema::Union(of) => {
                let branch = self.below(of.variants().len());
                Value::Union(branch as u32, Box::new(self.value(&of.variants()[branch])))
            }
            Schema::Enum(of) => {
                let symbol = self.below(of.symbols.len());
                Value::Enum(symbol as u32, of.symbols[symbol].clone())
            }
            Schema::Record(of) => {
                let fields = of.fields.iter();
                Value::Record(fields.map(|field| (field.name.clone(), self.value(&field.schema))).collect())
            }
            other => panic!("no values of {other:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_we_write_is_what_an_independent_reader_resolves(pair in pair(), seed in any::<u64>()) {
        let [writer, reader, _] = render(&pair, &mut 0);
        let resolution = Resolution::between(&writer, &reader).unwrap();
        let (from, to) = (Schema::parse_str(&writer).unwrap(), Schema::parse_str(&reader).unwrap());
        let bytes = to_avro_datum(&from, Chance(seed).value(&from)).unwrap();
        let expected = from_avro_datum(&from, &mut bytes.as_slice(), Some(&to)).unwrap();

        let mut ours = Vec::new();
        prop_assert!(resolution.migrate(&bytes, &mut ours).is_ok(), "{} -> {}: {}", writer, reader, resolution.compatibility());
        let mut rest = ours.as_slice();
        let seen = from_avro_datum(&to, &mut rest, None);
        prop_assert_eq!(seen.unwrap(), expected, "{} -> {}", writer, reader);
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn a_schema_is_the_same_as_itself(pair in pair()) {
        let [writer, ..] = render(&pair, &mut 0);
        let resolution = Resolution::between(&writer, &writer).unwrap();
        prop_assert_eq!(resolution.compatibility().to_string(), "same");
    }

    // Damaged bytes are refused or read as something else, but never panic and never run away.
    #[test]
    fn damaged_bytes_do_not_panic(pair in pair(), bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let [writer, reader, _] = render(&pair, &mut 0);
        let small = bytes.iter().map(|byte| byte & 0x7f).collect::<Vec<_>>();
        let _ = Resolution::between(&writer, &reader).unwrap().migrate(&small, &mut Vec::new());
    }
}
