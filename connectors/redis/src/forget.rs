//! Deletes what a job has written, so that it can begin anew.

use millstream_record::{Error, Result};
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, Pipeline, RedisError};

use crate::client::open_connection;
use crate::config::RedisOptions;
use crate::write::{VERSION_FIELD, version_key};

/// Keys of one round trip.
const PAGE: usize = 1_000;

/// Deletes the keys that begin with `prefix` and were written by a job, which their versions tell, and
/// answers how many there were. A `dry_run` only counts. Keys of the prefix that no job has written stay.
/// Must be called within a Tokio runtime.
///
/// # Errors
/// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) for options that cannot work;
/// [`ErrorKind::Retry`](millstream_record::ErrorKind::Retry) when Redis cannot be reached or refuses.
pub async fn forget(options: &RedisOptions, prefix: &str, dry_run: bool) -> Result<u64> {
    options.validate()?;
    let failed = |error: RedisError| Error::retry(format!("Redis at {}: {error}", options.url));
    let mut connection = open_connection(options).await?;
    let literal = literal(prefix);
    let mut forgotten = 0;
    let mut cursor = 0_u64;
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(format!("{literal}*")).arg("COUNT").arg(PAGE);
        let (next, keys): (u64, Vec<String>) = scan.query_async(&mut connection).await.map_err(failed)?;
        let ours = ours(&mut connection, &keys).await.map_err(failed)?;
        if !dry_run {
            delete(&mut connection, &ours).await.map_err(failed)?;
        }
        // A scan may show a key twice while Redis moves them: what is deleted is not shown again.
        forgotten += ours.len() as u64;
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    if !dry_run {
        delete_versions(&mut connection, &literal).await.map_err(failed)?;
    }
    Ok(forgotten)
}

// Those with a version: in a field of a hash, under a key of its own for anything else.
async fn ours(connection: &mut MultiplexedConnection, keys: &[String]) -> Result<Vec<String>, RedisError> {
    let types: Vec<String> = each(connection, keys, |pipeline, key| {
        pipeline.cmd("TYPE").arg(key);
    })
    .await?;
    let versions: Vec<bool> =
        each(connection, &keys.iter().zip(&types).collect::<Vec<_>>(), |pipeline, (key, kind)| {
            match (kind.as_str(), version_key(key)) {
                ("hash", _) => pipeline.cmd("HEXISTS").arg(key).arg(VERSION_FIELD),
                (_, Some(version)) => pipeline.cmd("EXISTS").arg(version),
                (_, None) => pipeline.cmd("EXISTS").arg(""),
            };
        })
        .await?;
    Ok(keys.iter().zip(versions).filter(|(_, ours)| *ours).map(|(key, _)| key.clone()).collect())
}

async fn each<T, R: FromRedisValue>(
    connection: &mut MultiplexedConnection,
    items: &[T],
    add: impl Fn(&mut Pipeline, &T),
) -> Result<Vec<R>, RedisError> {
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let mut pipeline = Pipeline::with_capacity(items.len());
    items.iter().for_each(|item| add(&mut pipeline, item));
    pipeline.query_async(connection).await
}

async fn delete(connection: &mut MultiplexedConnection, keys: &[String]) -> Result<(), RedisError> {
    let both = |key: &String| [Some(key.clone()), version_key(key)];
    let all: Vec<String> = keys.iter().flat_map(both).flatten().collect();
    let _: Vec<u64> = each(connection, &all, |pipeline, key| {
        pipeline.cmd("UNLINK").arg(key);
    })
    .await?;
    Ok(())
}

// A ranking without members leaves its version alone behind.
async fn delete_versions(connection: &mut MultiplexedConnection, literal: &str) -> Result<(), RedisError> {
    let mut cursor = 0_u64;
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(format!("{{{literal}*}}:version")).arg("COUNT").arg(PAGE);
        let (next, keys): (u64, Vec<String>) = scan.query_async(connection).await?;
        let _: Vec<u64> = each(connection, &keys, |pipeline, key| {
            pipeline.cmd("UNLINK").arg(key);
        })
        .await?;
        cursor = next;
        if cursor == 0 {
            return Ok(());
        }
    }
}

// What stands for anything in a pattern stands for itself.
fn literal(prefix: &str) -> String {
    prefix
        .chars()
        .flat_map(|c| matches!(c, '*' | '?' | '[' | ']' | '\\').then_some('\\').into_iter().chain([c]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_stands_for_itself() {
        assert_eq!(literal("clicks:"), "clicks:");
        assert_eq!(literal("a*[b]?\\"), "a\\*\\[b\\]\\?\\\\");
    }
}
