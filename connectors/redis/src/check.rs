//! Looks whether the server can be written to, and changes no data.

use millstream_delivery::NotReady;
use millstream_record::{Error, Result};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisError};

use crate::certificates;
use crate::client::{client_for, script_of};
use crate::config::RedisOptions;
use crate::rehearsal::rehearse;
use crate::retry::of_client_error;
use crate::write::RedisWrite;

/// Connects and logs in as a job does, tries whether such writes would be taken, and answers what the server
/// is, such as `Redis 7.2.4`. No key is written; the server keeps the sink's script, as it does for a job.
/// Must be called within a Tokio runtime.
///
/// # Errors
/// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) for options that cannot work, a
/// login that is refused, a right that is missing, and a server that is no primary;
/// [`ErrorKind::Retry`](millstream_record::ErrorKind::Retry) when the server cannot be reached, or takes no
/// writes just now.
pub async fn check(options: &RedisOptions, samples: impl IntoIterator<Item = RedisWrite>) -> Result<String> {
    options.validate()?;
    let mut connection = connect(options).await?;
    let info = redis::cmd("INFO").query_async::<String>(&mut connection).await;
    let found = match info {
        Ok(info) => {
            server(&info).map_err(|what| Error::configuration(format!("Redis at {}: {what}", options.url)))?
        }
        // A user may lack the right to ask, and yet write.
        Err(_) => "Redis".to_owned(),
    };
    let script = match script_of(&mut connection).await {
        Ok(script) => script,
        Err(error) => return Err(failure(options, &error).await),
    };
    rehearse(&mut connection, &options.url, &script, samples, options.expiry).await?;
    Ok(found)
}

async fn connect(options: &RedisOptions) -> Result<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(options.connect_timeout))
        .set_response_timeout(Some(options.request_timeout));
    let opened = client_for(options)?.get_multiplexed_async_connection_with_config(&config).await;
    match opened {
        Ok(connection) => Ok(connection),
        Err(error) => Err(failure(options, &error).await),
    }
}

async fn failure(options: &RedisOptions, error: &RedisError) -> Error {
    if let Some(advice) = certificates::advice(&options.url, error) {
        return Error::configuration(advice);
    }
    let reason = match of_client_error(error, &options.url.to_string()) {
        NotReady::Stop(error) => return error,
        NotReady::Wait(reason) => reason,
    };
    // A port that nobody listens at speaks nothing.
    let mistaken = match reason.contains("refused") {
        true => None,
        false => certificates::mistaken_scheme(&options.url).await,
    };
    mistaken.map_or_else(
        || {
            let url = &options.url;
            Error::retry(format!(
                "Redis does not answer at {url}: {reason}; check `url`, and that Redis runs"
            ))
        },
        Error::configuration,
    )
}

// What the server says about itself; a node that takes no writes is refused.
fn server(info: &str) -> Result<String, &'static str> {
    let field = |name: &str| {
        let mut lines = info.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| *key == name).map(|(_, value)| value.trim())
    };
    if field("cluster_enabled") == Some("1") {
        return Err("it is a node of a Redis Cluster, which is not supported: name a server of its own");
    }
    if matches!(field("role"), Some("slave" | "replica")) {
        return Err("it is a replica, which takes no writes: name the primary");
    }
    let product = if field("valkey_version").is_some() { "Valkey" } else { "Redis" };
    let version = field("valkey_version").or_else(|| field("redis_version")).unwrap_or_default();
    Ok(format!("{product} {version}").trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_known_by_its_version() {
        let redis = "# Server\r\nredis_version:7.2.4\r\nrole:master\r\ncluster_enabled:0\r\n";
        assert_eq!(server(redis).as_deref(), Ok("Redis 7.2.4"));
        let valkey = "redis_version:7.2.4\r\nvalkey_version:8.0.1\r\nrole:master\r\n";
        assert_eq!(server(valkey).as_deref(), Ok("Valkey 8.0.1"));
    }

    #[test]
    fn a_server_that_takes_no_writes_is_refused() {
        assert!(server("role:slave\r\n").unwrap_err().contains("primary"));
        assert!(server("role:master\r\ncluster_enabled:1\r\n").unwrap_err().contains("Cluster"));
    }
}
