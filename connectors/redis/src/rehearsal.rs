//! Tries whether a user may do what the sink's script does, without doing it: the server judges a command when
//! it is queued in a transaction, by its name, its keys and the state of the server, and the transaction is
//! then thrown away.

use std::time::Duration;

use millstream_record::{Error, Result};
use redis::RedisError;
use redis::aio::MultiplexedConnection;

use crate::config::Url;
use crate::write::{RedisWrite, VERSION_FIELD, Value, version_key};

/// Queues what the script with this hash would do for these writes.
///
/// # Errors
/// What the server says it would refuse.
pub(crate) async fn rehearse(
    connection: &mut MultiplexedConnection,
    url: &Url,
    script: &str,
    samples: impl IntoIterator<Item = RedisWrite>,
    expiry: Duration,
) -> Result<()> {
    if redis::cmd("MULTI").query_async::<()>(connection).await.is_err() {
        // Some proxies know no transactions, and a user may lack the right to them: the sink needs none.
        return Ok(());
    }
    for sample in samples {
        for words in commands(&sample, script, expiry) {
            let (name, arguments) = words.split_first().expect("a command has a name");
            let queued = redis::cmd(name).arg(arguments).query_async::<()>(connection).await;
            queued.map_err(|error| refused(url, name, sample.key(), error))?;
        }
    }
    // Where this fails, the connection's end does the same.
    let _ = redis::cmd("DISCARD").query_async::<()>(connection).await;
    Ok(())
}

fn refused(url: &Url, command: &str, key: &str, error: RedisError) -> Error {
    let what = match error.code() {
        Some("NOPERM") => "the user may not do what the sink needs: allow",
        Some("ERR") => "it does not do what the sink needs, which is",
        _ => {
            return Error::retry(format!(
                "Redis at {url} takes no writes, and a job would wait until it does"
            ))
            .caused_by(error);
        }
    };
    Error::configuration(format!("Redis at {url}: {what} {command} on keys such as {key:?}")).caused_by(error)
}

/// What `write.lua` calls for such a write, and the call of the script itself.
fn commands(sample: &RedisWrite, script: &str, expiry: Duration) -> Vec<Vec<String>> {
    let key = sample.key();
    let side = version_key(key).unwrap_or_default();
    let side = side.as_str();
    let stays = sample.expiry.unwrap_or(expiry).is_zero();
    let commands: Vec<Vec<&str>> = match &sample.value {
        Value::Hash(_) => vec![
            vec!["EVALSHA", script, "1", key],
            vec!["HGET", key, VERSION_FIELD],
            vec!["HSET", key, VERSION_FIELD, ""],
            vec!["HLEN", key],
            vec!["DEL", key],
            expires(key, stays),
        ],
        Value::Text(_) => vec![
            vec!["EVALSHA", script, "2", key, side],
            vec!["TYPE", key],
            vec!["GET", side],
            vec!["SET", side, ""],
            vec!["SET", key, ""],
            expires(key, stays),
            expires(side, stays),
        ],
        Value::Ranking(_) => vec![
            vec!["EVALSHA", script, "2", key, side],
            vec!["TYPE", key],
            vec!["GET", side],
            vec!["SET", side, ""],
            vec!["DEL", key],
            vec!["ZADD", key, "0", ""],
            expires(key, stays),
            expires(side, stays),
        ],
    };
    commands.into_iter().map(|words| words.into_iter().map(str::to_owned).collect()).collect()
}

fn expires(key: &str, stays: bool) -> Vec<&str> {
    if stays { vec!["PERSIST", key] } else { vec!["EXPIRE", key, "1"] }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_command_of_the_script_is_rehearsed() {
        let samples = [RedisWrite::hash("h"), RedisWrite::string("s", ""), RedisWrite::ranking("r")];
        let mut rehearsed = BTreeSet::new();
        for (sample, expiry) in samples.iter().flat_map(|sample| [(sample, 0), (sample, 1)]) {
            let words = commands(sample, "hash", Duration::from_secs(expiry));
            rehearsed.extend(words.into_iter().map(|words| words[0].clone()));
        }
        rehearsed.remove("EVALSHA");
        let called = include_str!("write.lua").split("redis.call('").skip(1);
        let called: BTreeSet<_> =
            called.filter_map(|rest| Some(rest.split_once('\'')?.0.to_owned())).collect();
        assert_eq!(rehearsed, called);
    }
}
