//! What ends up in Redis: whole values, versions, expiry.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use millstream_record::ErrorKind;
use millstream_redis::{RedisWrite, VERSION_FIELD, version_key};
use millstream_stage::version::Version;
use millstream_testkit::{Redis, unique_name};

mod common;
use common::{Client, counter, options, write, write_all, writer};

fn place() -> Result<(String, Client, String)> {
    let url = Redis::shared()?.url().to_owned();
    Ok((url.clone(), Client::of(&url)?, unique_name("values")))
}

#[test]
fn a_hash_is_replaced_whole_and_carries_its_version() -> Result<()> {
    let (url, mut client, key) = place()?;
    write_all(&url, 3, [RedisWrite::hash(&*key).field("a", 1).field("b", "two words")])?;
    write_all(&url, 4, [RedisWrite::hash(&*key).field("b", 3).field("c", -4.5)])?;
    let seen = client.hash(&key)?;
    let version = Version::new(4, 0)?.to_string();
    let expected = [(VERSION_FIELD, version.as_str()), ("b", "3"), ("c", "-4.5")];
    assert!(seen.iter().map(|(name, value)| (name.as_str(), value.as_str())).eq(expected), "{seen:?}");
    write_all(&url, 5, [RedisWrite::hash(&*key)])?;
    assert_eq!(client.hash(&key)?.len(), 1, "the version alone");
    Ok(())
}

#[test]
fn an_older_attempt_neither_overwrites_nor_goes_on() -> Result<()> {
    let (url, mut client, key) = place()?;
    let (hash, text, ranking) = (format!("{key}:h"), format!("{key}:s"), format!("{key}:r"));
    let writes = |value: u64| {
        [
            RedisWrite::hash(&*hash).field("v", value),
            RedisWrite::string(&*text, value.to_string()),
            RedisWrite::ranking(&*ranking).member(value.to_string(), value as f64),
        ]
    };
    write_all(&url, 7, writes(7))?;
    for old in writes(6) {
        let mut zombie = writer(options(&url), 6)?;
        write(&mut zombie, [old])?;
        assert_eq!(zombie.flush().unwrap_err().kind(), ErrorKind::Fenced);
    }
    assert_eq!(client.ask::<String>(&["HGET", &hash, "v"])?, "7");
    assert_eq!(client.ask::<String>(&["GET", &text])?, "7");
    assert_eq!(client.ask::<Vec<String>>(&["ZRANGE", &ranking, "0", "-1"])?, ["7"]);
    Ok(())
}

// Their numbers are the same to a double.
#[test]
fn versions_that_differ_in_the_lowest_bit_are_told_apart() -> Result<()> {
    let (url, mut client, key) = place()?;
    ensure!(Version::new(Version::MAX_EPOCH, 0)?.as_i64() > 1 << 53);
    let write_of = |value: &str| [RedisWrite::hash(&*key).field("v", value)];
    let mut first = writer(options(&url), Version::MAX_EPOCH)?;
    for value in ["sequence 0", "sequence 1"] {
        write(&mut first, write_of(value))?;
        first.flush()?;
    }
    let mut second = writer(options(&url), Version::MAX_EPOCH)?;
    write(&mut second, write_of("sequence 0 again"))?;
    second.flush()?;
    assert_eq!(client.ask::<String>(&["HGET", &key, "v"])?, "sequence 1");
    assert_eq!((counter(&first, "stale"), counter(&second, "stale")), (0, 1));
    Ok(())
}

#[test]
fn every_key_expires_and_its_version_with_it() -> Result<()> {
    let (url, mut client, key) = place()?;
    let (hash, text, ranking) = (format!("{key}:h"), format!("{key}:s"), format!("{{{key}}}:r"));
    let writes = [
        RedisWrite::hash(&*hash).field("v", 1),
        RedisWrite::string(&*text, "1"),
        RedisWrite::ranking(&*ranking).member("a", 1.0).expires_in(Duration::from_secs(50)),
    ];
    write_all(&url, 1, writes.clone())?;
    let week = 7 * 24 * 3600;
    let sides = [&text, &ranking].map(|key| version_key(key).unwrap());
    for (name, most) in [(&hash, week), (&text, week), (&sides[0], week), (&ranking, 50), (&sides[1], 50)] {
        let seconds: i64 = client.ask(&["TTL", name])?;
        assert!((most - 40..=most).contains(&seconds), "{name}: {seconds} s");
    }
    let forever = writes.map(|write| write.expires_in(Duration::ZERO));
    write_all(&url, 2, forever)?;
    for name in [&hash, &text, &sides[0], &ranking, &sides[1]] {
        assert_eq!(client.ask::<i64>(&["TTL", name])?, -1, "{name}");
    }
    Ok(())
}

#[test]
fn a_key_of_another_type_is_left_alone() -> Result<()> {
    let (url, mut client, key) = place()?;
    client.do_it(&["RPUSH", &key, "somebody else's"])?;
    let mut writer = writer(options(&url), 1)?;
    let fine = format!("{key}:fine");
    let wrong = [
        RedisWrite::hash(&*key).field("v", 1),
        RedisWrite::string(&*key, "1"),
        RedisWrite::ranking(&*key).member("a", 1.0),
    ];
    for refused in wrong {
        write(&mut writer, [refused, RedisWrite::string(&*fine, "written")])?;
        writer.flush()?;
    }
    let letters = writer.dead_letters();
    assert_eq!(letters.len(), 3);
    assert!(letters.iter().all(|letter| letter.reason.contains(": WRONGTYPE") && letter.stage == "redis"));
    assert!(String::from_utf8_lossy(&letters[0].raw).contains(&key));
    assert_eq!(client.ask::<String>(&["LINDEX", &key, "0"])?, "somebody else's");
    assert_eq!(client.ask::<String>(&["GET", &fine])?, "written");
    Ok(())
}

#[test]
fn large_values_pass_in_parts() -> Result<()> {
    let (url, mut client, key) = place()?;
    let (hash, ranking) = (format!("{key}:h"), format!("{key}:r"));
    let count = 12_345;
    let fields =
        (0..count).fold(RedisWrite::hash(&*hash), |write, number| write.field(format!("f{number}"), number));
    let members = (0..count).fold(RedisWrite::ranking(&*ranking), |write, number| {
        write.member(format!("m{number}"), f64::from(number))
    });
    write_all(&url, 1, [fields, members])?;
    assert_eq!(client.ask::<i32>(&["HLEN", &hash])?, count + 1);
    assert_eq!(client.ask::<i32>(&["ZCARD", &ranking])?, count);
    assert_eq!(client.ask::<String>(&["ZSCORE", &ranking, "m12344"])?, "12344");
    Ok(())
}

#[test]
fn readers_never_see_half_a_ranking() -> Result<()> {
    let (url, mut client, key) = place()?;
    let list = |generation: u32| {
        (0..50).fold(RedisWrite::ranking(&*key), |write, place| {
            write.member(format!("{generation}-{place}"), f64::from(generation))
        })
    };
    write_all(&url, 1, [list(0)])?;
    let seen = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| watch(&mut client, &key, &seen));
        let written = swap(&url, (1..).map(list), &seen);
        written.and(reader.join().expect("the reader does not panic"))
    })
}

const ENOUGH: usize = 100;

// Writes list after list until the reader has seen enough of them, or has given up.
fn swap(url: &str, lists: impl Iterator<Item = RedisWrite>, seen: &AtomicUsize) -> Result<()> {
    let mut writer = writer(options(url), 2)?;
    for list in lists {
        write(&mut writer, [list])?;
        writer.flush()?;
        if seen.load(Ordering::Relaxed) >= ENOUGH {
            break;
        }
    }
    Ok(())
}

fn watch(client: &mut Client, key: &str, seen: &AtomicUsize) -> Result<()> {
    let watched = watch_lists(client, key, seen);
    seen.store(ENOUGH, Ordering::Relaxed);
    watched
}

// Reads until enough different lists were seen, each of them whole.
fn watch_lists(client: &mut Client, key: &str, seen: &AtomicUsize) -> Result<()> {
    let mut last = None;
    while seen.load(Ordering::Relaxed) < ENOUGH {
        let members: Vec<(String, f64)> = client.ask(&["ZRANGE", key, "0", "-1", "WITHSCORES"])?;
        ensure!(members.len() == 50, "{} members", members.len());
        let score = members[0].1;
        ensure!(members.iter().all(|(_, other)| *other == score), "two lists at once: {members:?}");
        if last.replace(score) != Some(score) {
            seen.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}
