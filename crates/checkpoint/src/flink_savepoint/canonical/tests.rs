use std::collections::BTreeMap;
use std::ops::Range;

use millstream_record::key_group::KeyGroup;
use millstream_record::{ErrorKind, Result};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::decoder::EntryDecoder;
use super::{KEY_SERIALIZER, describe, ranges};
use crate::wire::WireWriter;

/// A key group as Flink writes it: entries of a table and a value.
fn group(entries: &[(u32, &[u8])]) -> Vec<u8> {
    let mut out = vec![0, 0];
    for (number, (table, value)) in entries.iter().enumerate() {
        let last = if number + 1 == entries.len() { 0x80 << 24 } else { 0 };
        out.extend([0, 0, 0, 5]);
        out.extend((table | last).to_be_bytes());
        out.push(number as u8);
        out.extend((value.len() as u32).to_be_bytes());
        out.extend_from_slice(value);
    }
    out.extend([0xff, 0xff]);
    out
}

/// Two groups behind a description of 10 bytes.
fn two_groups() -> (Vec<u8>, BTreeMap<KeyGroup, Range<u64>>) {
    let first = group(&[(0, b"a"), (2, b""), (1, b"bcd")]);
    let mut bytes = first.clone();
    bytes.extend(group(&[(1, b"e")]));
    let middle = 10 + first.len() as u64;
    (bytes.clone(), [(3, 10..middle), (5, middle..10 + bytes.len() as u64)].into())
}

fn decoded(
    pieces: &[&[u8]],
    groups: BTreeMap<KeyGroup, Range<u64>>,
) -> Result<Vec<(KeyGroup, usize, Vec<u8>)>> {
    let (mut decoder, mut all) = (EntryDecoder::new(groups), Vec::new());
    for piece in pieces {
        decoder.push(piece, &mut |group, table, value| {
            all.push((group, table, value.to_vec()));
            Ok(())
        })?;
    }
    decoder.finish()?;
    Ok(all)
}

#[test]
fn entries_may_come_in_any_pieces() {
    let (bytes, groups) = two_groups();
    let expected = [(3, 0, b"a".to_vec()), (3, 2, vec![]), (3, 1, b"bcd".to_vec()), (5, 1, b"e".to_vec())];
    for size in 1..=bytes.len() {
        let pieces: Vec<_> = bytes.chunks(size).collect();
        assert_eq!(decoded(&pieces, groups.clone()).unwrap(), expected, "pieces of {size} bytes");
    }
}

#[test]
fn damaged_entries_are_refused_and_no_length_is_believed() {
    let (bytes, groups) = two_groups();
    for cut in 0..bytes.len() {
        let error = decoded(&[&bytes[..cut]], groups.clone()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data, "cut behind {cut} bytes");
    }
    for (place, byte) in [(0, 1), (2, 0x7f), (6, 0x80), (11, 0xff), (bytes.len() - 1, 0)] {
        let mut damaged = bytes.clone();
        damaged[place] = byte;
        assert!(decoded(&[&damaged], groups.clone()).is_err(), "{byte} in place {place}");
    }
}

/// What Flink writes before the entries, up to the serializers of the state.
fn description(key_serializer: &str, state: &str, compressed: bool) -> Vec<u8> {
    let mut tables = WireWriter::default();
    tables.list(["window"], |out, operator| {
        out.text(operator);
        out.list(["panes", "timers"], |out, table| {
            out.text(table);
            out.text("\"string\"");
        });
    });
    let tables = STANDARD.encode(tables.0);
    let (first, second) = tables.split_at(20);
    let mut out = WireWriter::default();
    let text = |out: &mut WireWriter, text: &str| {
        out.0.extend((text.len() as u16).to_be_bytes());
        out.0.extend(text.as_bytes());
    };
    out.int(6);
    out.bool(compressed);
    out.int(2);
    text(&mut out, key_serializer);
    out.int(3);
    out.0.extend([0, 1]);
    text(&mut out, state);
    out.int(0);
    let options = [("tables-1", second), ("KEYED_STATE_TYPE", "VALUE"), ("tables-0", first)];
    out.list(options, |out, (name, value)| {
        text(out, name);
        text(out, value);
    });
    out.0
}

#[test]
fn the_tables_are_in_the_description_of_the_only_state() {
    let tables = describe(&description(KEY_SERIALIZER, "millstream", false)).unwrap();
    let [tables] = tables.as_slice() else { panic!("{tables:?}") };
    assert_eq!((tables.operator.as_str(), tables.first, tables.tables.len()), ("window", 0, 2));
    for (serializer, state, compressed, text) in [
        ("org.apache.flink.LongSerializerSnapshot", "millstream", false, "another type of key"),
        (KEY_SERIALIZER, "counts", false, "keyed states of its own"),
        (KEY_SERIALIZER, "millstream", true, "execution.checkpointing.snapshot-compression: false"),
    ] {
        let error = describe(&description(serializer, state, compressed)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.chain().contains(text), "{}", error.chain());
    }
}

#[test]
fn a_group_ends_where_the_next_one_with_entries_begins() {
    assert_eq!(ranges(4, &[0, 100, 0, 150, 0], 200).unwrap(), [(5, 100..150), (7, 150..200)]);
    assert_eq!(ranges(0, &[0, 0], 200).unwrap(), []);
    for wrong in [&[150, 100][..], &[200], &[300]] {
        assert!(ranges(0, wrong, 200).is_err(), "{wrong:?}");
    }
}
