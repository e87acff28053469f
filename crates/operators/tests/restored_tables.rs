//! Keyed state that an older job wrote comes back in today's form, or not at all.

use std::sync::Arc;

use millstream_record::Record;
use millstream_record::record::{from_bytes, to_bytes};
use millstream_record::schema::Compatibility;
use millstream_stage::snapshot::{MemoryPart, RestoredKeyed, TableSchema, resolve_table};

/// The entry of an earlier version of the job.
mod before {
    #[derive(Clone, millstream_record::Record)]
    pub(crate) struct Entry {
        pub(crate) key: (i32, String),
        pub(crate) count: i32,
    }
}

#[derive(Clone, Debug, PartialEq, Record)]
struct Entry {
    key: (i64, String),
    #[record(default = "?")]
    note: String,
    count: f64,
}

fn stored() -> RestoredKeyed {
    let tables = vec![TableSchema::of::<i64>("watermark"), TableSchema::of::<before::Entry>("keys")];
    let mut part = MemoryPart::new(tables);
    for group in 0..8_u16 {
        part.push(group, 0, to_bytes(&i64::from(group)));
        part.push(group, 1, to_bytes(&before::Entry { key: (5, "k".into()), count: i32::from(group) }));
    }
    RestoredKeyed { parts: vec![Arc::new(part.clone()), Arc::new(part)], owned: 2..4 }
}

fn read(tables: &[TableSchema]) -> Result<Vec<(u16, u16, Vec<u8>)>, String> {
    let mut seen = Vec::new();
    let done = stored().read(tables, &mut |group, table, entry| {
        seen.push((group, table, entry.to_vec()));
        Ok(())
    });
    done.map(|()| seen).map_err(|error| error.to_string())
}

#[test]
fn entries_come_back_in_todays_form_and_under_todays_table_numbers() {
    let tables = [TableSchema::of::<Entry>("keys"), TableSchema::of::<i64>("watermark")];
    let seen = read(&tables).expect("it fits");
    assert_eq!(seen.len(), 8, "two parts, two groups, two tables");
    for (group, table, entry) in seen {
        match table {
            0 => {
                let expected = Entry { key: (5, "k".into()), note: "?".into(), count: f64::from(group) };
                assert_eq!(from_bytes::<Entry>(&entry).expect("today's form"), expected);
            }
            _ => assert_eq!(from_bytes::<i64>(&entry).expect("unchanged"), i64::from(group)),
        }
    }
}

#[test]
fn an_entry_without_a_place_is_no_silent_loss() {
    let error = read(&[TableSchema::of::<i64>("watermark")]).expect_err("no table for the keys");
    assert!(error.contains("a table `keys`, the operator has none"), "{error}");
    let tables = [TableSchema::of::<(i64, i64)>("keys"), TableSchema::of::<i64>("watermark")];
    let error = read(&tables).expect_err("another type");
    assert!(error.contains("table `keys`: incompatible: `Entry` was written"), "{error}");
}

#[test]
fn a_key_may_be_widened_but_not_changed() {
    #[derive(Clone, Record)]
    #[record(name = "Entry")]
    struct Changed {
        key: (i64, Option<String>),
        count: i32,
    }
    let written = TableSchema::of::<before::Entry>("keys");
    let compatibility = |read: TableSchema| resolve_table(&written, &read).expect("schemas").compatibility();
    assert!(matches!(compatibility(TableSchema::of::<Entry>("keys")), Compatibility::Migrates(_)));
    let refused = compatibility(TableSchema::of::<Changed>("keys")).to_string();
    assert!(
        refused.starts_with("incompatible: `key.f1`: string becomes [null, string]: a key must stay"),
        "{refused}"
    );
}
