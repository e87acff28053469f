//! What a user is told about two versions of a record, and what becomes of the data.
#![allow(
    clippy::panic,
    dead_code,
    reason = "the helpers of tests fail as tests do; some fields are only read from bytes"
)]

use std::collections::BTreeMap;

use millstream_record::Record;
use millstream_record::record::{from_bytes, schema_of, to_bytes};
use millstream_record::schema::{Compatibility, Resolution};

/// The structs of an earlier version of the job.
mod before {
    use millstream_record::Record;

    #[derive(Clone, Copy, Debug, PartialEq, Record)]
    pub(crate) enum Behavior {
        View,
        Cart,
        Buy,
    }

    #[derive(Clone, Debug, PartialEq, Record)]
    pub(crate) struct Item {
        pub(crate) id: String,
        pub(crate) count: i32,
        pub(crate) obsolete: Vec<i64>,
    }

    #[derive(Clone, Debug, PartialEq, Record)]
    pub(crate) struct Cart {
        pub(crate) user: i64,
        pub(crate) items: Vec<Item>,
        pub(crate) last: Option<Behavior>,
        pub(crate) best: (i32, Item),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Record)]
#[record(alias = "Behavior")]
enum Action {
    Buy,
    View,
    Refund,
    #[record(default)]
    Other,
}

#[derive(Clone, Debug, PartialEq, Record)]
struct Item {
    #[record(default = "none")]
    shop: String,
    #[record(alias = "id")]
    sku: String,
    count: i64,
    tags: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Record)]
struct Cart {
    best: (f64, Item),
    user: Option<i64>,
    items: Vec<Item>,
    last: Option<Action>,
    #[record(default = Action::Refund)]
    first: Action,
    #[record(default = Item { shop: "s".into(), sku: "k".into(), count: -1, tags: vec!["t".into()] })]
    spare: Item,
    #[record(bytes)]
    raw: Vec<u8>,
    #[record(bytes, default = vec![0, 255])]
    mark: Vec<u8>,
    by_day: BTreeMap<i64, f64>,
    #[record(default)]
    flag: bool,
}

fn between<W: Record, R: Record>() -> Resolution {
    Resolution::between(&schema_of::<W>(), &schema_of::<R>()).expect("both are schemas")
}

fn migrated<W: Record, R: Record>(written: &W) -> R {
    let mut bytes = Vec::new();
    between::<W, R>().migrate(&to_bytes(written), &mut bytes).expect("the datum has a place");
    from_bytes(&bytes).expect("the reader's bytes")
}

fn refusal<W: Record, R: Record>() -> String {
    match between::<W, R>().compatibility() {
        Compatibility::Incompatible(notes) => {
            notes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        }
        other => panic!("not refused: {other}"),
    }
}

fn old_item(id: &str) -> before::Item {
    before::Item { id: id.into(), count: 3, obsolete: vec![1, 2] }
}

fn new_item(sku: &str) -> Item {
    Item { shop: "none".into(), sku: sku.into(), count: 3, tags: vec![] }
}

#[test]
fn a_cart_of_the_old_version_is_read_by_the_new_one() {
    let old = before::Cart {
        user: 7,
        items: vec![old_item("a"), old_item("b")],
        last: Some(before::Behavior::Cart),
        best: (5, old_item("c")),
    };
    let new: Cart = migrated(&old);
    assert_eq!(new.best, (5.0, new_item("c")));
    assert_eq!((new.user, new.items), (Some(7), vec![new_item("a"), new_item("b")]));
    assert_eq!((new.last, new.first), (Some(Action::Other), Action::Refund));
    assert_eq!((new.spare.count, new.spare.tags), (-1, vec!["t".to_owned()]));
    assert_eq!((new.raw, new.mark, new.by_day, new.flag), (vec![], vec![0, 255], BTreeMap::new(), false));
    let bought = before::Cart { last: Some(before::Behavior::Buy), items: vec![], ..old };
    assert_eq!(migrated::<_, Cart>(&bought).last, Some(Action::Buy));
}

#[test]
fn the_verdict_names_each_change_and_its_place() {
    let compatibility = between::<before::Cart, Cart>();
    let Compatibility::Migrates(notes) = compatibility.compatibility() else {
        panic!("{:?}", compatibility.compatibility())
    };
    let notes: Vec<_> = notes.iter().map(ToString::to_string).collect();
    for expected in [
        "`best.f0`: int widened to double",
        "`best.f1.shop`: added with default \"none\"",
        "`user`: long becomes [null, long]",
        "`items[].sku`: renamed from `id`",
        "`items[].count`: int widened to long",
        "`items[].tags`: added with default []",
        "`items[].obsolete`: removed, its values are dropped",
        "`last`: enum `Behavior` is now `Action`",
        "`last`: symbol `Cart` is removed and becomes `Other`",
        "`last`: symbols added: `Refund`, `Other`",
        "`first`: added with default \"Refund\"",
        "`by_day`: added with default []",
        "fields in another order",
    ] {
        assert!(notes.iter().any(|note| note == expected), "{expected} is not in {notes:#?}");
    }
}

#[test]
fn what_does_not_fit_is_refused_with_what_to_do() {
    #[derive(Clone, Record)]
    struct Narrow {
        count: i64,
        name: String,
        mood: before::Behavior,
    }
    mod now {
        use millstream_record::Record;
        #[derive(Clone, Record)]
        pub(crate) enum Behavior {
            View,
            Buy,
        }
        #[derive(Clone, Record)]
        pub(crate) struct Narrow {
            pub(crate) count: i32,
            pub(crate) name: Vec<i64>,
            pub(crate) mood: Behavior,
            pub(crate) price: f64,
            pub(crate) kind: Behavior,
        }
        #[derive(Clone, Record)]
        pub(crate) struct Other {
            pub(crate) count: i64,
        }
    }
    let reasons = refusal::<Narrow, now::Narrow>();
    for expected in [
        "`count`: long cannot be narrowed to int: keep long",
        "`name`: string cannot become array of long: give the new field another name",
        "`mood`: symbol `Cart` is removed from enum `Behavior`, which has no default",
        "`price`: added (double) without a default: mark it with #[record(default = 0.0)]",
        "`kind`: added (enum Behavior) without a default: mark it with #[record(default = Behavior::View)]",
    ] {
        assert!(reasons.contains(expected), "{expected} is not in {reasons}");
    }
    let renamed = refusal::<Narrow, now::Other>();
    assert!(renamed.contains("mark `Other` with #[record(alias = \"Narrow\")]"), "{renamed}");
    let error = between::<Narrow, now::Narrow>().migrate(&[], &mut Vec::new()).expect_err("nothing is read");
    assert_eq!(error.kind(), millstream_record::ErrorKind::Data);
}

#[test]
fn an_optional_that_becomes_required_is_a_matter_of_the_data() {
    let resolution = between::<(i64, Option<i64>), (i64, i64)>();
    let compatibility = resolution.compatibility().to_string();
    assert!(compatibility.contains("`f1`: a restore fails if any value is null"), "{compatibility}");
    assert_eq!(migrated::<(i64, Option<i64>), (i64, i64)>(&(1, Some(2))), (1, 2));
    let null = resolution.migrate(&to_bytes(&(1_i64, None::<i64>)), &mut Vec::new());
    assert!(null.expect_err("null has no place").to_string().contains("`f1`: a value is null"));
    assert!(refusal::<Option<String>, i64>().contains("string cannot become long"));
    assert!(refusal::<String, Option<i64>>().contains("string cannot become"));
}

#[test]
fn tuples_are_compared_by_their_members() {
    type Old = Vec<(i32, (String, i32))>;
    type New = BTreeMap<i64, (String, f64)>;
    let old: Old = vec![(1, ("a".into(), 2)), (3, ("b".into(), 4))];
    let new: New = migrated(&old);
    assert_eq!(new, BTreeMap::from([(1, ("a".to_owned(), 2.0)), (3, ("b".to_owned(), 4.0))]));
    assert!(refusal::<(i64, i64), (i64, i64, i64)>().contains("`f2`: added (long) without a default"));
}

#[test]
fn types_that_know_themselves_are_resolved_at_every_depth() {
    mod old {
        #[derive(Clone, Debug, PartialEq, millstream_record::Record)]
        pub(crate) struct Tree {
            pub(crate) size: i32,
            pub(crate) children: Vec<Tree>,
        }
    }
    #[derive(Clone, Debug, PartialEq, Record)]
    struct Tree {
        #[record(default = Vec::new())]
        children: Vec<Tree>,
        size: i64,
    }
    let leaf = old::Tree { size: 1, children: vec![] };
    let tree =
        old::Tree { size: 3, children: vec![old::Tree { size: 2, children: vec![leaf.clone()] }, leaf] };
    let new: Tree = migrated(&tree);
    assert_eq!((new.size, new.children[0].size, new.children[0].children[0].size), (3, 2, 1));
    assert_eq!(between::<Tree, Tree>().compatibility(), Compatibility::Same);
}

#[test]
fn types_of_one_name_from_two_modules_stay_apart() {
    mod cart {
        #[derive(Clone, Debug, PartialEq, millstream_record::Record)]
        pub(crate) struct State {
            pub(crate) items: Vec<String>,
        }
    }
    mod session {
        #[derive(Clone, Debug, PartialEq, millstream_record::Record)]
        pub(crate) struct State {
            pub(crate) since: i64,
        }
    }
    type Both = (cart::State, session::State, cart::State);
    type Turned = (session::State, cart::State, session::State);
    assert!(schema_of::<Both>().contains("State__2"));
    assert_eq!(between::<Both, Both>().compatibility(), Compatibility::Same);
    // In the other order the numbers are others: the names say nothing, so the fields do.
    assert!(refusal::<Both, Turned>().contains("`f0.since`: added (long) without a default"));
    assert_eq!(
        between::<(i64, session::State), (i64, session::State)>().compatibility(),
        Compatibility::Same
    );
}

#[test]
fn what_did_not_change_is_copied_whole() {
    let item = old_item("x");
    let mut bytes = vec![9];
    between::<before::Item, before::Item>().migrate(&to_bytes(&item), &mut bytes).expect("the same");
    assert_eq!(&bytes[1..], to_bytes(&item));
}

#[test]
fn a_schema_that_is_none_is_named() {
    for (writer, reader, side) in
        [("{", "\"int\"", "the stored state"), ("\"int\"", "\"integer\"", "the job's state")]
    {
        let error = Resolution::between(writer, reader).expect_err("no schema");
        assert!(error.to_string().contains(side), "{error}");
    }
}
