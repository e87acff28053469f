use std::collections::BTreeMap;

use millstream_stage::Version;
use proptest::prelude::*;

use super::*;

/// An id and so many bytes.
#[derive(Clone, Debug)]
struct Thing(u8, usize);

impl Item for Thing {
    fn hash(&self) -> u64 {
        // Some of them collide.
        u64::from(self.0 / 2)
    }
    fn same_id(&self, other: &Self) -> bool {
        self.0 == other.0
    }
    fn bytes(&self) -> usize {
        self.1
    }
    fn memory(&self) -> usize {
        self.1
    }
    fn title(&self) -> String {
        self.0.to_string()
    }
    fn value(&self) -> Vec<u8> {
        vec![self.0]
    }
    fn freeze(&self, _: Version) -> Vec<u8> {
        vec![self.0]
    }
}

fn pending(id: u8, sequence: u64, size: usize) -> PendingItem<Thing> {
    PendingItem::new(Thing(id, size), Version::new(1, sequence).unwrap(), sequence, sequence)
}

fn buffer(items: &[(u8, u64)]) -> Buffer<Thing> {
    let mut buffer = Buffer::default();
    for (id, sequence) in items {
        buffer.insert(pending(*id, *sequence, 10));
    }
    buffer
}

// Id, sequence, tries and rows of what is taken.
fn taken(buffer: &mut Buffer<Thing>) -> Vec<(u8, u64, u32, u64)> {
    let slots = buffer.take(usize::MAX, 100);
    let seen = |slot: &SlotId| {
        let pending = buffer.sent(*slot);
        (pending.item.0, pending.version.sequence(), pending.tries, pending.rows)
    };
    slots.iter().map(seen).collect()
}

#[test]
fn the_highest_version_of_an_id_wins_in_the_oldest_ones_place_and_stands_for_all() {
    let mut buffer = buffer(&[(1, 2), (2, 3), (1, 9), (1, 4)]);
    assert_eq!(buffer.ready_since(), Some(2));
    let slots = buffer.take(usize::MAX, 10);
    let first = buffer.sent(slots[0]);
    assert_eq!((first.version.sequence(), first.rows, first.ingest), (9, 3, 2));
    assert_eq!((slots.len(), buffer.sent(slots[1]).item.0), (2, 2));
}

#[test]
fn an_id_on_its_way_is_not_sent_again_before_the_answer() {
    let mut buffer = buffer(&[(1, 1)]);
    let first = buffer.take(usize::MAX, 10);
    buffer.insert(pending(1, 2, 10));
    buffer.insert(pending(1, 3, 10));
    assert_eq!((buffer.ready(), buffer.ready_since()), (0, None));
    assert!(buffer.take(usize::MAX, 10).is_empty());
    buffer.settle(first[0], 77);
    assert_eq!(buffer.ready_since(), Some(77));
    assert_eq!(taken(&mut buffer), [(1, 3, 0, 2)]);
    assert!(!buffer.is_empty());
}

#[test]
fn what_is_put_back_goes_first_or_gives_way_to_a_newer_one() {
    let mut buffer = buffer(&[(1, 1), (2, 2), (3, 3)]);
    let out = buffer.take(usize::MAX, 2);
    buffer.insert(pending(2, 4, 10));
    for slot in out.into_iter().rev() {
        buffer.sent_mut(slot).tries = 1;
        buffer.put_back(slot);
    }
    assert_eq!(taken(&mut buffer), [(1, 1, 1, 1), (2, 4, 1, 2), (3, 3, 0, 1)]);
}

#[test]
fn a_request_keeps_to_its_limits_but_takes_one_item_at_least() {
    let mut buffer = buffer(&(0..10).map(|id| (id, 1)).collect::<Vec<_>>());
    assert_eq!(buffer.take(1, 10).len(), 1);
    assert_eq!(buffer.take(25, 10).len(), 2);
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
    buffer: Buffer<Thing>,
    out: Vec<SlotId>,
    sequence: u64,
    newest: BTreeMap<u8, u64>,
    stored: BTreeMap<u8, u64>,
    rows_in: u64,
    rows_out: u64,
}

impl World {
    fn call(&mut self, call: &Call) {
        match call {
            Call::Insert(id, size) => {
                self.sequence += 1;
                self.newest.insert(*id, self.sequence);
                self.rows_in += 1;
                self.buffer.insert(pending(*id, self.sequence, *size));
            }
            Call::Take(count) => self.out.extend(self.buffer.take(usize::MAX, *count)),
            Call::Settle(at) if !self.out.is_empty() => {
                let slot = self.out.swap_remove(at % self.out.len());
                let pending = self.buffer.sent(slot);
                self.stored.insert(pending.item.0, pending.version.sequence());
                self.rows_out += pending.rows;
                self.buffer.settle(slot, 0);
            }
            Call::PutBack(at) if !self.out.is_empty() => {
                let slot = self.out.swap_remove(at % self.out.len());
                self.buffer.put_back(slot);
            }
            Call::Settle(_) | Call::PutBack(_) => {}
        }
    }

    fn check(&self) {
        let mut ids: Vec<_> = self.out.iter().map(|slot| self.buffer.sent(*slot).item.0).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count, "twice on its way");
        assert_eq!(self.buffer.bytes(), self.buffer.all().map(PendingItem::size).sum::<usize>());
        assert!(self.buffer.ready_bytes() <= self.buffer.bytes());
        assert_eq!(self.buffer.ready_bytes() == 0, self.buffer.ready() == 0);
        let (rows, oldest) = (
            self.buffer.all().map(PendingItem::weight).sum(),
            self.buffer.all().map(|pending| pending.ingest).min(),
        );
        assert_eq!(self.buffer.backlog(), Backlog { rows, oldest });
        // A snapshot sees the newest of whatever is not stored.
        for (id, newest) in &self.newest {
            let frozen = self.buffer.newest().find(|pending| pending.item.0 == *id);
            let frozen = frozen.map(|pending| pending.version.sequence());
            assert!(frozen.or(self.stored.get(id).copied()) == Some(*newest), "{id} is lost");
        }
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
