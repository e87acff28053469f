//! Checks of a cold store while it runs.

use std::slice::from_ref;

use millstream_record::Result;
use millstream_stage::state_backend::Change;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::cold_shelf::Shelf;
use super::cold_store::{Beside, key, until, value};
use super::{Check, ColdFixture};
use crate::driven_writer::wrong;

pub(super) fn list<F: ColdFixture>() -> Vec<Check<F>> {
    vec![
        Check { name: "an empty store finds nothing and can be frozen", run: empty },
        Check { name: "many keys at once, in the order that they were asked for", run: many_keys },
        Check { name: "changes are made in their order", run: in_order },
        Check { name: "a scan is in the order of bytes, ends before its end and at its limit", run: scans },
        Check { name: "a deleted range is gone, its end stays", run: deleted_range },
        Check { name: "long keys and large values", run: large },
        Check { name: "two stores of one backend do not disturb each other", run: two_stores },
        Check { name: "a value that is not expired stays, one that is may go", run: expired },
        Check { name: "sizes are known once there is something", run: sizes },
        Check { name: "random work agrees with a model", run: random },
    ]
}

fn empty<F: ColdFixture>(fixture: &F) -> Result<()> {
    let backend = fixture.backend()?;
    let mut beside = Beside::new(&*backend, 1, 0..128)?;
    beside.check_get(&[key(1, 0, "a"), key(2, 0, "b")])?;
    beside.check_get(&[])?;
    beside.write(Vec::new())?;
    beside.write(vec![Change::Delete(key(1, 0, "a")), Change::DeleteRange(key(0, 0, ""), key(9, 0, ""))])?;
    let shelf = Shelf::new()?;
    let stored = beside.freeze(1, &shelf)?;
    Beside::restore(&*fixture.backend()?, 2, 0..128, from_ref(&stored))?;
    Beside::restore(&*fixture.backend()?, 2, 0..64, &[stored]).map(drop)
}

fn many_keys<F: ColdFixture>(fixture: &F) -> Result<()> {
    let mut beside = Beside::new(&*fixture.backend()?, 1, 0..128)?;
    beside.put((0..1000).map(|n: u16| (key(n % 7, 0, n.to_be_bytes()), value(n.to_string()))))?;
    let backwards: Vec<_> = (0..1500).rev().map(|n: u16| key(n % 7, 0, n.to_be_bytes())).collect();
    beside.check_get(&backwards)?;
    beside.check_get(&[backwards[600].clone(), backwards[600].clone()])
}

fn in_order<F: ColdFixture>(fixture: &F) -> Result<()> {
    let mut beside = Beside::new(&*fixture.backend()?, 1, 0..128)?;
    let (a, b) = (key(3, 0, "a"), key(3, 0, "b"));
    beside.put([(a.clone(), value("old")), (b.clone(), value("old"))])?;
    beside.write(vec![
        Change::DeleteRange(a.clone(), key(3, 0, "z")),
        Change::Put(a.clone(), value("new")),
        Change::Put(b.clone(), value("new")),
        Change::Delete(b.clone()),
    ])?;
    beside.check()?;
    beside.write(vec![Change::Delete(b.clone()), Change::Put(b.clone(), value("newer"))])?;
    beside.check_get(&[b, a])
}

fn scans<F: ColdFixture>(fixture: &F) -> Result<()> {
    let mut beside = Beside::new(&*fixture.backend()?, 1, 0..128)?;
    let tails: [&[u8]; 6] = [b"", &[0], &[0, 0], &[0x7f], &[0x80], &[0xff, 0xff]];
    let keys = [0, 1, 127].into_iter().flat_map(|group| tails.map(|tail| key(group, 1, tail)));
    beside.put(keys.map(|key| (key, value("v"))))?;
    for limit in [0, 1, 5, 6, 7, 100] {
        beside.check_scan(&key(0, 1, [])..&key(0, 2, []), limit)?;
        beside.check_scan(&key(0, 1, [0])..&key(1, 1, [0x80]), limit)?;
    }
    beside.check_scan(&key(1, 1, [0])..&key(1, 1, [0]), 10)?;
    beside.check_scan(&key(2, 0, [])..&key(127, 1, []), 10)?;
    // More than what is in memory before it is written out.
    beside.store.freeze(1)?;
    beside.put([(key(1, 1, [1]), value("later"))])?;
    beside.check_scan(&key(1, 1, [0])..&key(1, 1, [0x80]), 10)
}

fn deleted_range<F: ColdFixture>(fixture: &F) -> Result<()> {
    let mut beside = Beside::new(&*fixture.backend()?, 1, 0..128)?;
    let pair = |n: u16| (key(n / 100, 0, n.to_be_bytes()), value(n.to_string()));
    beside.put((0..1000).map(pair))?;
    let first = beside.store.freeze(1)?;
    beside.write(vec![Change::DeleteRange(pair(150).0, pair(420).0)])?;
    beside.check()?;
    let shelf = Shelf::new()?;
    let stored = beside.freeze(2, &shelf)?;
    beside.put([pair(200)])?;
    beside.write(vec![Change::DeleteRange(pair(200).0, pair(200).0), Change::Delete(pair(420).0)])?;
    beside.check()?;
    drop(first);
    let mut restored = Beside::restore(&*fixture.backend()?, 2, 0..128, &[stored])?;
    restored.check_get(&[pair(149).0, pair(150).0, pair(419).0, pair(420).0])
}

fn large<F: ColdFixture>(fixture: &F) -> Result<()> {
    let mut beside = Beside::new(&*fixture.backend()?, 1, 0..128)?;
    let long = |byte: u8| key(5, 0, vec![byte; 20_000]);
    beside.put([
        (long(1), value(vec![7; 3 << 20])),
        (long(2), value("")),
        (key(5, 0, ""), value(vec![8; 100])),
    ])?;
    beside.check()?;
    beside.freeze(1, &Shelf::new()?)?;
    beside.check()
}

fn two_stores<F: ColdFixture>(fixture: &F) -> Result<()> {
    let backend = fixture.backend()?;
    let mut low = Beside::new(&*backend, 1, 0..64)?;
    let mut high = Beside::new(&*backend, 1, 64..128)?;
    low.put([(key(1, 0, "same"), value("low"))])?;
    high.put([(key(65, 0, "same"), value("high"))])?;
    high.check_get(&[key(1, 0, "same")])?;
    let frozen = high.store.freeze(1)?;
    drop(high);
    low.check()?;
    drop(low);
    let shelf = Shelf::new()?;
    let stored = shelf.store(&*frozen)?;
    if stored.pairs.len() == 1 { Ok(()) } else { Err(wrong("a frozen store must outlive its store")) }
}

fn expired<F: ColdFixture>(fixture: &F) -> Result<()> {
    let mut beside = Beside::new(&*fixture.backend()?, 1, 0..128)?;
    let pairs = (0..2000).map(|n: i64| {
        let expiry = if n % 10 == 0 { i64::MAX } else { n };
        (key(3, (n % 2) as u8, n.to_be_bytes()), until(expiry, "v"))
    });
    beside.put(pairs)?;
    for (round, now) in [500, 100, 1500].into_iter().enumerate() {
        beside.store.expire(1, now);
        beside.store.freeze(round as u64)?;
        beside.put([(key(9, 0, [round as u8]), value("more"))])?;
    }
    let mut found = Vec::new();
    beside.store.scan(&[]..&[0xff], usize::MAX, &mut found)?;
    let stays = |(key, value): &&(Vec<u8>, Vec<u8>)| {
        key[2] == 0 || i64::from_be_bytes(*value.first_chunk().expect("every value has an expiry")) > 1500
    };
    let (all, kept) = (beside.all(), found.iter().filter(stays).cloned().collect::<Vec<_>>());
    let expected: Vec<_> = all.iter().filter(stays).cloned().collect();
    if kept != expected {
        return Err(wrong(format!("{} values must stay, {} did", expected.len(), kept.len())));
    }
    if found.iter().all(|pair| all.contains(pair)) { Ok(()) } else { Err(wrong("a value was changed")) }
}

fn sizes<F: ColdFixture>(fixture: &F) -> Result<()> {
    let mut beside = Beside::new(&*fixture.backend()?, 1, 0..128)?;
    beside.put((0..500).map(|n: u16| (key(n % 128, 0, n.to_be_bytes()), value("v"))))?;
    beside.store.freeze(1)?;
    let sizes = beside.store.sizes();
    if sizes.keys == 500 && sizes.bytes > 500 {
        Ok(())
    } else {
        Err(wrong(format!("{sizes:?} for 500 keys")))
    }
}

fn random<F: ColdFixture>(fixture: &F) -> Result<()> {
    (0..4).try_for_each(|seed| walk(fixture, seed).map_err(|error| error.in_context(format!("seed {seed}"))))
}

fn walk<F: ColdFixture>(fixture: &F, seed: u64) -> Result<()> {
    let chance = &mut ChaCha8Rng::seed_from_u64(seed);
    let shelf = Shelf::new()?;
    let mut beside = Beside::new(&*fixture.backend()?, 1, 0..16)?;
    for step in 0..300 {
        let changes = chance.random_range(0..40);
        let changes = (0..changes).map(|_| random_change(chance)).collect();
        beside.write(changes)?;
        let keys: Vec<_> = (0..10).map(|_| random_key(chance)).collect();
        beside.check_get(&keys)?;
        let (from, to) = (random_key(chance), random_key(chance));
        beside.check_scan(&from.clone().min(to.clone())..&from.max(to), chance.random_range(0..50))?;
        if step % 20 == 19 {
            let stored = beside.freeze(step, &shelf)?;
            if chance.random_bool(0.3) {
                beside = Beside::restore(&*fixture.backend()?, step, 0..16, &[stored])?;
            }
        }
    }
    beside.check()
}

fn random_key(chance: &mut ChaCha8Rng) -> Vec<u8> {
    key(chance.random_range(0..16), chance.random_range(0..3), chance.random_range(0..20_u16).to_be_bytes())
}

fn random_change(chance: &mut ChaCha8Rng) -> Change {
    let key = random_key(chance);
    match chance.random_range(0..20) {
        0 => {
            let other = random_key(chance);
            Change::DeleteRange(key.clone().min(other.clone()), key.max(other))
        }
        1..6 => Change::Delete(key),
        _ => Change::Put(key, value(chance.random_range(0..1_000_000).to_string())),
    }
}
