use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::encode::lines;

fn pending(id: &str, sequence: u64, body: &str) -> Pending {
    let version = Version::new(1, sequence).unwrap();
    let (lines, body_at) = lines("i", id, version, body.as_bytes());
    let key = Arc::new(Key { index: "i".into(), id: id.into() });
    Pending {
        key,
        version,
        lines,
        body_at,
        rows: 1,
        ingest: sequence,
        ready_at: sequence,
        tries: 0,
        failed_at: None,
    }
}

fn taken(buffer: &mut Buffer, count: usize) -> Vec<(String, u64)> {
    let taken = buffer.take(usize::MAX, count);
    taken.iter().map(|document| (document.key.id.to_string(), document.version.sequence())).collect()
}

#[test]
fn the_highest_version_of_an_id_wins_and_stands_for_all() {
    let mut buffer = Buffer::default();
    assert!(!buffer.insert(pending("a", 2, "{}")));
    assert!(!buffer.insert(pending("b", 3, "{}")));
    assert!(buffer.insert(pending("a", 9, r#"{"n":9}"#)));
    assert!(buffer.insert(pending("a", 4, "{}")), "an older one that comes later");
    let all = buffer.take(usize::MAX, 10);
    assert_eq!(all.len(), 2);
    assert_eq!((all[0].version.sequence(), all[0].rows, all[0].ingest), (9, 3, 2));
    assert_eq!(all[0].body(), br#"{"n":9}"#);
    assert_eq!(all[1].key.id, "b");
}

#[test]
fn an_id_on_its_way_is_not_sent_again_before_the_answer() {
    let mut buffer = Buffer::default();
    buffer.insert(pending("a", 1, "{}"));
    let first = buffer.take(usize::MAX, 10);
    buffer.insert(pending("a", 2, "{}"));
    buffer.insert(pending("a", 3, "{}"));
    assert_eq!((buffer.ready(), buffer.ready_since()), (0, None));
    assert!(buffer.take(usize::MAX, 10).is_empty());
    buffer.settle(&first[0], 77);
    assert_eq!(buffer.ready_since(), Some(77));
    assert_eq!(taken(&mut buffer, 10), [("a".to_owned(), 3)]);
    assert!(!buffer.is_empty());
}

#[test]
fn what_is_put_back_goes_first_or_gives_way_to_a_newer_one() {
    let mut buffer = Buffer::default();
    for (id, sequence) in [("a", 1), ("b", 2), ("c", 3)] {
        buffer.insert(pending(id, sequence, "{}"));
    }
    let out = buffer.take(usize::MAX, 2);
    buffer.insert(pending("b", 4, "{}"));
    for mut document in out.into_iter().rev() {
        document.tries = 1;
        buffer.put_back(document);
    }
    let again = buffer.take(usize::MAX, 10);
    let seen: Vec<_> =
        again.iter().map(|d| (d.key.id.as_str(), d.version.sequence(), d.tries, d.rows)).collect();
    assert_eq!(seen, [("a", 1, 1, 1), ("b", 4, 1, 2), ("c", 3, 0, 1)]);
}

#[test]
fn a_request_keeps_to_its_limits_but_takes_one_document_at_least() {
    let mut buffer = Buffer::default();
    for sequence in 0..10 {
        buffer.insert(pending(
            &sequence.to_string(),
            sequence,
            &format!("{{\"n\":\"{}\"}}", "x".repeat(1000)),
        ));
    }
    assert_eq!(buffer.take(1, 10).len(), 1);
    assert_eq!(buffer.take(2500, 10).len(), 2);
    assert_eq!(buffer.take(usize::MAX, 3).len(), 3);
    assert_eq!(buffer.take(usize::MAX, 10).len(), 4);
    assert_eq!(buffer.ready_bytes(), 0);
}

#[derive(Clone, Debug)]
enum Call {
    Insert(u8, usize),
    Take(usize),
    Settle(usize),
    PutBack(usize),
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = prop_oneof![
        4 => (0..6_u8, 0..50_usize).prop_map(|(id, size)| Call::Insert(id, size)),
        2 => (1..4_usize).prop_map(Call::Take),
        2 => any::<usize>().prop_map(Call::Settle),
        1 => any::<usize>().prop_map(Call::PutBack),
    ];
    prop::collection::vec(call, 0..200)
}

// The store, and what is on its way to it; acknowledged in any order.
#[derive(Default)]
struct World {
    buffer: Buffer,
    out: Vec<Pending>,
    sequence: u64,
    newest: BTreeMap<String, u64>,
    stored: BTreeMap<String, u64>,
    rows_in: u64,
    rows_out: u64,
}

impl World {
    fn call(&mut self, call: &Call) {
        match call {
            Call::Insert(id, size) => {
                self.sequence += 1;
                self.newest.insert(id.to_string(), self.sequence);
                self.rows_in += 1;
                let body = format!("{{\"n\":\"{}\"}}", "x".repeat(*size));
                self.buffer.insert(pending(&id.to_string(), self.sequence, &body));
            }
            Call::Take(count) => self.out.extend(self.buffer.take(usize::MAX, *count)),
            Call::Settle(at) if !self.out.is_empty() => {
                let document = self.out.swap_remove(at % self.out.len());
                self.stored.insert(document.key.id.to_string(), document.version.sequence());
                self.rows_out += document.rows;
                self.buffer.settle(&document, 0);
            }
            Call::PutBack(at) if !self.out.is_empty() => {
                let document = self.out.swap_remove(at % self.out.len());
                self.buffer.put_back(document);
            }
            Call::Settle(_) | Call::PutBack(_) => {}
        }
    }

    fn check(&self) {
        let ids: Vec<_> = self.out.iter().map(|document| &document.key).collect();
        assert!(
            ids.iter().all(|id| ids.iter().filter(|other| other == &id).count() == 1),
            "twice on its way"
        );
        let waiting: usize = self.buffer.waiting().map(Pending::size).sum();
        let out: usize = self.out.iter().map(Pending::size).sum();
        assert_eq!(self.buffer.bytes(), waiting + out);
        assert!(self.buffer.ready_bytes() <= waiting);
        assert_eq!(self.buffer.ready_bytes() == 0, self.buffer.ready() == 0);
    }
}

proptest! {
    #[test]
    fn whatever_the_order_of_answers_the_newest_of_each_id_is_stored_last(calls in calls()) {
        let mut world = World::default();
        for call in &calls {
            world.call(call);
            world.check();
        }
        while !world.buffer.is_empty() {
            world.call(&Call::Take(2));
            world.call(&Call::Settle(0));
        }
        prop_assert_eq!(&world.stored, &world.newest);
        prop_assert_eq!(world.rows_out, world.rows_in);
        prop_assert_eq!((world.buffer.bytes(), world.buffer.ready_bytes(), world.buffer.ready()), (0, 0, 0));
    }
}
