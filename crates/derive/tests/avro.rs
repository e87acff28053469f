//! Our Avro is Avro: an independent implementation parses every schema and reads every value as we meant it.
#![allow(clippy::panic, clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

use std::fmt::Debug;

use apache_avro::types::Value;
use apache_avro::{Schema, from_avro_datum, to_avro_datum};
use compact_str::CompactString;
use millstream_record::Record;
use millstream_record::record::{from_bytes, schema_of, to_bytes};
use millstream_stage::dead_letter::DeadLetter;
use millstream_stage::raw::RawBatch;

#[derive(Clone, Copy, Debug, PartialEq, Record)]
enum Behavior {
    View,
    Buy,
}

#[derive(Clone, Debug, PartialEq, Record)]
struct Item {
    id: CompactString,
    price: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Record)]
struct Everything {
    long: i64,
    unsigned: u64,
    int: i32,
    word: u32,
    half: u16,
    octet: u8,
    double: f64,
    flag: bool,
    text: String,
    r#type: Behavior,
    maybe_type: Option<Behavior>,
    first: Item,
    others: Vec<Item>,
    pair: (i64, String),
    other_pair: (i64, String),
    triple: (bool, Option<i64>, Behavior),
    numbers: Vec<u8>,
    #[record(bytes)]
    raw: Vec<u8>,
    #[record(bytes)]
    boxed: Box<[u8]>,
    nested: Vec<Vec<Option<i64>>>,
}

fn everything() -> Everything {
    Everything {
        long: i64::MIN,
        unsigned: u64::MAX,
        int: -1,
        word: u32::MAX,
        half: u16::MAX,
        octet: 200,
        double: -0.1,
        flag: true,
        text: "ключ \u{1f6d2}".into(),
        r#type: Behavior::Buy,
        maybe_type: Some(Behavior::View),
        first: Item { id: "".into(), price: None },
        others: vec![Item { id: "a name that is longer than 24 bytes".into(), price: Some(f64::MAX) }; 3],
        pair: (300, "x".into()),
        other_pair: (-300, String::new()),
        triple: (false, Some(i64::MAX), Behavior::View),
        numbers: vec![0, 255],
        raw: vec![0xff, 0],
        boxed: Box::from([7_u8; 200]),
        nested: vec![vec![], vec![None, Some(1)]],
    }
}

fn judged<T: Record>(record: &T) -> Value {
    let schema = Schema::parse_str(&schema_of::<T>()).expect("the schema is Avro");
    let ours = to_bytes(record);
    let mut rest = ours.as_slice();
    let value = from_avro_datum(&schema, &mut rest, None).expect("the bytes fit the schema");
    assert!(rest.is_empty(), "the judge left {} bytes", rest.len());
    value
}

/// The judge's own bytes of the same value must come back as the same record.
fn round_trip<T: Record + PartialEq + Debug>(record: &T) -> Value {
    let value = judged(record);
    let schema = Schema::parse_str(&schema_of::<T>()).unwrap();
    let theirs = to_avro_datum(&schema, value.clone()).expect("the judge can write what it read");
    assert_eq!(&from_bytes::<T>(&theirs).unwrap(), record);
    value
}

fn field<'a>(value: &'a Value, name: &str) -> &'a Value {
    let Value::Record(fields) = value else { panic!("{value:?} is no record") };
    &fields.iter().find(|(field, _)| field == name).unwrap_or_else(|| panic!("no field {name}")).1
}

fn optional(branch: u32, value: Value) -> Value {
    Value::Union(branch, Box::new(value))
}

#[test]
fn every_field_type_is_what_an_independent_reader_sees() {
    let value = round_trip(&everything());
    let seen = |name| field(&value, name).clone();
    assert_eq!(seen("long"), Value::Long(i64::MIN));
    assert_eq!(seen("unsigned"), Value::Long(-1), "the bits of an unsigned number travel as a long");
    assert_eq!(seen("int"), Value::Int(-1));
    assert_eq!(seen("word"), Value::Long(i64::from(u32::MAX)));
    assert_eq!(seen("half"), Value::Int(65_535));
    assert_eq!(seen("octet"), Value::Int(200));
    assert_eq!(seen("double"), Value::Double(-0.1));
    assert_eq!(seen("flag"), Value::Boolean(true));
    assert_eq!(seen("text"), Value::String("ключ \u{1f6d2}".into()));
    assert_eq!(seen("type"), Value::Enum(1, "Buy".into()));
    assert_eq!(seen("maybe_type"), optional(1, Value::Enum(0, "View".into())));
    assert_eq!(seen("raw"), Value::Bytes(vec![0xff, 0]));
    assert_eq!(seen("boxed"), Value::Bytes(vec![7; 200]));
    assert_eq!(seen("numbers"), Value::Array(vec![Value::Int(0), Value::Int(255)]));
}

#[test]
fn nested_records_and_arrays_are_what_an_independent_reader_sees() {
    let value = round_trip(&everything());
    assert_eq!(field(field(&value, "first"), "price"), &optional(0, Value::Null));
    let Value::Array(others) = field(&value, "others") else { panic!("others is no array") };
    assert_eq!(others.len(), 3);
    assert_eq!(field(&others[2], "price"), &optional(1, Value::Double(f64::MAX)));
    assert_eq!(field(field(&value, "other_pair"), "f0"), &Value::Long(-300));
    let row = vec![optional(0, Value::Null), optional(1, Value::Long(1))];
    assert_eq!(field(&value, "nested"), &Value::Array(vec![Value::Array(vec![]), Value::Array(row)]));
}

#[test]
fn plain_values_are_records_too() {
    assert_eq!(round_trip(&()), Value::Null);
    assert_eq!(round_trip(&Some(String::from("x"))), optional(1, Value::String("x".into())));
    assert_eq!(round_trip(&vec![1.5, f64::INFINITY]), Value::Array(vec![1.5.into(), f64::INFINITY.into()]));
    let quadruple = round_trip(&(1_i64, true, 2.0_f64, String::from("q")));
    assert_eq!(field(&quadruple, "f3"), &Value::String("q".into()));
}

#[test]
fn numbers_of_every_length_are_read_alike() {
    for shift in 0..64 {
        for number in [1_i64 << shift, -(1_i64 << (shift % 63)), (1_i64 << shift).wrapping_sub(1)] {
            assert_eq!(round_trip(&number), Value::Long(number));
        }
    }
}

#[test]
fn dead_letters_and_fetched_buffers_are_avro() {
    let mut batch = RawBatch::new("clicks-0".into());
    batch.push(&[0xff, 0x00], 7, 1);
    batch.push(b"", 8, i64::MIN);
    let messages = judged(&batch);
    let Value::Array(messages) = field(&messages, "messages") else { panic!("messages is no array") };
    assert_eq!(field(&messages[0], "f2"), &Value::Bytes(vec![0xff, 0x00]));

    let message = batch.iter().next().unwrap();
    let letter = DeadLetter::at_decode("clicks", &batch.split, message, 99, "not UTF-8");
    let letter = round_trip(&letter);
    assert_eq!(field(&letter, "raw"), &Value::Bytes(vec![0xff, 0x00]));
    assert_eq!(field(&letter, "position"), &Value::Long(7));
}
