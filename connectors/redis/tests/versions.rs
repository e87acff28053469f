//! What Redis 6.2, 7 and 8 and Valkey say differently and must mean the same: a server that is full,
//! read-only or cannot save is waited for.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use millstream_redis::RedisWrite;
use millstream_testkit::{Redis, RedisVersion};

mod common;
use common::{Client, Writer, counter, options, write, writer};

fn servers() -> Result<Vec<(RedisVersion, Redis)>> {
    let all = [RedisVersion::Redis62, RedisVersion::Debian, RedisVersion::Redis8, RedisVersion::Valkey9];
    all.into_iter().map(|version| Ok((version, Redis::builder().version(version).start()?))).collect()
}

fn values(value: u32) -> [RedisWrite; 4] {
    let kept = Duration::from_secs(60);
    [
        RedisWrite::hash("h").field("a", value).field("b", value),
        RedisWrite::hash("of-many").field("a", value).expires_in(kept),
        RedisWrite::string("s", value.to_string()).expires_in(kept),
        RedisWrite::ranking("r").member("a", f64::from(value)).member("b", f64::from(value)),
    ]
}

fn expect(client: &mut Client, value: u32) -> Result<()> {
    let value = value.to_string();
    let seen = [
        client.ask::<String>(&["HGET", "h", "b"])?,
        client.ask(&["HGET", "of-many", "a"])?,
        client.ask(&["GET", "s"])?,
        client.ask(&["ZSCORE", "r", "b"])?,
    ];
    ensure!(seen.iter().all(|seen| *seen == value), "{seen:?} instead of {value}");
    Ok(())
}

// Writes while the server refuses, lets it take writes again, and expects them.
fn refused_for_a_while(
    client: &mut Client,
    writer: &mut Writer,
    value: u32,
    begin: impl Fn(&mut Client) -> Result<()>,
    end: impl Fn(&mut Client) -> Result<()>,
) -> Result<()> {
    begin(client)?;
    let before = counter(writer, "retries");
    write(writer, values(value))?;
    while counter(writer, "retries") < before + 12 {
        ensure!(!writer.try_flush()?.is_complete(), "flushed, but not written");
        writer.turn()?;
    }
    end(client)?;
    writer.flush()?;
    expect(client, value)?;
    ensure!(writer.dead_letters().is_empty(), "{:?}", writer.dead_letters());
    Ok(())
}

#[test]
fn a_server_that_is_full_read_only_or_cannot_save_is_waited_for() -> Result<()> {
    for (version, redis) in servers()? {
        let mut client = Client::of(redis.url())?;
        let mut writer = writer(options(redis.url()), 1)?;
        write(&mut writer, values(1))?;
        writer.flush()?;
        expect(&mut client, 1)?;
        let set = |name: &'static str, value: &'static str| {
            move |client: &mut Client| client.do_it(&["CONFIG", "SET", name, value])
        };
        let refused = [
            refused_for_a_while(
                &mut client,
                &mut writer,
                2,
                set("maxmemory", "100kb"),
                set("maxmemory", "0"),
            ),
            refused_for_a_while(
                &mut client,
                &mut writer,
                3,
                set("min-replicas-to-write", "1"),
                set("min-replicas-to-write", "0"),
            ),
            refused_for_a_while(
                &mut client,
                &mut writer,
                4,
                cannot_save,
                set("stop-writes-on-bgsave-error", "no"),
            ),
        ];
        for result in refused {
            result.with_context(|| format!("{version:?}"))?;
        }
        client.do_it(&["REPLICAOF", "127.0.0.1", "1"])?;
        write(&mut writer, values(5))?;
        while counter(&writer, "retries") < 60 {
            writer.turn()?;
        }
        client.do_it(&["REPLICAOF", "NO", "ONE"])?;
        writer.flush()?;
        expect(&mut client, 5)?;
        assert!(writer.dead_letters().is_empty());
    }
    Ok(())
}

// A save fails because a directory is where its file goes.
fn cannot_save(client: &mut Client) -> Result<()> {
    let dir: Vec<String> = client.ask(&["CONFIG", "GET", "dir"])?;
    std::fs::create_dir_all(std::path::Path::new(&dir[1]).join("dump.rdb/in-the-way"))?;
    client.do_it(&["CONFIG", "SET", "save", "3600 1"])?;
    client.do_it(&["BGSAVE"])?;
    while !client.ask::<String>(&["INFO", "persistence"])?.contains("rdb_last_bgsave_status:err") {}
    Ok(())
}

#[test]
fn a_key_of_another_type_is_a_dead_letter_and_the_others_are_written() -> Result<()> {
    for (version, redis) in servers()? {
        let mut client = Client::of(redis.url())?;
        client.do_it(&["RPUSH", "h", "a list"])?;
        client.do_it(&["RPUSH", "s", "a list"])?;
        let mut writer = writer(options(redis.url()), 1)?;
        write(&mut writer, values(1))?;
        writer.flush()?;
        let reasons: Vec<_> = writer.dead_letters().iter().map(|letter| letter.reason.as_str()).collect();
        assert!(
            reasons.len() == 2 && reasons.iter().all(|reason| reason.contains("WRONGTYPE")),
            "{version:?}: {reasons:?}"
        );
        assert_eq!(client.ask::<String>(&["ZSCORE", "r", "b"])?, "1");
    }
    Ok(())
}

#[test]
fn an_older_write_changes_nothing_and_keys_expire_with_their_versions() -> Result<()> {
    for (version, redis) in servers()? {
        let mut client = Client::of(redis.url())?;
        let (mut old, mut new) = (writer(options(redis.url()), 1)?, writer(options(redis.url()), 1)?);
        write(&mut new, values(9).into_iter().chain(values(8)))?;
        new.flush()?;
        write(&mut old, values(1))?;
        old.flush()?;
        expect(&mut client, 8)?;
        assert_eq!(counter(&old, "stale"), 4, "{version:?}");
        for key in ["h", "r", "{r}:version"] {
            let left: i64 = client.ask(&["TTL", key])?;
            assert!(left > 7 * 86_400 - 600, "{version:?}: {key} has {left} s");
        }
        for key in ["of-many", "s", "{s}:version"] {
            let left: i64 = client.ask(&["TTL", key])?;
            assert!((1..=60).contains(&left), "{version:?}: {key} has {left} s");
        }
    }
    Ok(())
}
