//! What to do about an answer or a failure, and when to try again. Decides only; the delivery acts.

use std::time::Duration;

use millstream_core::backoff::Backoff;
use millstream_core::time::{Time, millis};
use millstream_core::version::Version;
use millstream_core::{Error, ErrorKind};
use redis::{RedisError, ServerError, Value};

/// What became of one write.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is there.
    Written,
    /// A newer one is there.
    Stale,
    /// The server does not know the script: send it, then the write again.
    NoScript,
    /// The same write may succeed later.
    Retry(String),
    /// It can never succeed; the others may.
    Reject(String),
    /// Refused for a reason that is not known: it waits, and is given up only where others of its kind succeed meanwhile.
    Unclear(String),
    /// Nothing can succeed.
    Stop(Error),
}

/// What became of one write, by its reply. `epoch` is that of the writer.
pub(crate) fn of_reply(reply: &Value, epoch: u64) -> Outcome {
    match reply {
        Value::Int(1) => Outcome::Written,
        Value::BulkString(newer) => of_newer(newer, epoch),
        Value::ServerError(error) => of_server_error(error),
        other => Outcome::Reject(format!("an answer that the script does not give: {other:?}")),
    }
}

fn of_newer(newer: &[u8], epoch: u64) -> Outcome {
    let text = String::from_utf8_lossy(newer);
    match text.parse::<Version>() {
        Ok(version) if version.epoch() > epoch => Outcome::Stop(Error::new(
            ErrorKind::Fenced,
            format!(
                "Redis holds a write of attempt {}, this is attempt {epoch}: a newer attempt of the job runs, or the job was given an \
                 empty directory while its old results are still there (then delete those keys)",
                version.epoch()
            ),
        )),
        Ok(_) => Outcome::Stale,
        Err(_) => Outcome::Reject(format!("where its version should be, the key holds {text:?}")),
    }
}

/// What an error reply means for the command that it answers.
///
/// A lost login or right may come back (a password is rotated, rights are being changed), and the start has shown that they were there:
/// the write waits.
pub(crate) fn of_server_error(error: &ServerError) -> Outcome {
    let text = text_of(error);
    match code_of(&text) {
        "NOSCRIPT" => Outcome::NoScript,
        "MOVED" | "ASK" | "CROSSSLOT" => Outcome::Stop(configuration(CLUSTER_NODE, text)),
        "OOM" | "READONLY" | "MISCONF" | "NOREPLICAS" | "BUSY" | "LOADING" | "MASTERDOWN" | "CLUSTERDOWN"
        | "TRYAGAIN" | "NOAUTH" | "WRONGPASS" | "NOPERM" => Outcome::Retry(text),
        "WRONGTYPE" => Outcome::Reject(text),
        _ => Outcome::Unclear(text),
    }
}

/// Whether the server is a replica: after a fail-over the address may lead to the new primary.
pub(crate) fn is_read_only(reply: &Value) -> bool {
    matches!(reply, Value::ServerError(error) if code_of(&text_of(error)) == "READONLY")
}

const CLUSTER_NODE: &str =
    "this is one node of a Redis Cluster, which this sink does not write to: give a single server or a proxy";

/// The code of an error reply. Up to Redis 6.2 that of a command within a script is wrapped:
/// `ERR Error running script (call to f_0f..): @user_script:36: @user_script: 36: -OOM command not allowed ...`.
fn code_of(text: &str) -> &str {
    let inner = text.rsplit("@user_script:").next().unwrap_or_default();
    let inner = inner.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, ' ' | ':' | '-'));
    let wrapped =
        text.starts_with("ERR Error running script") || text.starts_with("ERR Error compiling script");
    let text = if wrapped { inner } else { text };
    let code = text.split(' ').next().unwrap_or_default();
    if code.bytes().all(|byte| byte.is_ascii_uppercase()) { code } else { "ERR" }
}

/// Why nothing came back for a whole pipeline, or why there is no connection.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Connect again and send it again.
    Passing(String),
    /// It cannot pass.
    Lasting(Error),
}

/// What a failed connection or call means. `address` is for the message.
pub(crate) fn of_client_error(error: &RedisError, address: &str) -> Failure {
    use redis::ErrorKind as Kind;
    match error.kind() {
        Kind::AuthenticationFailed => Failure::Lasting(configuration(
            &format!("Redis at {address} refuses the login"),
            error.to_string(),
        )),
        Kind::InvalidClientConfig | Kind::RESP3NotSupported => {
            Failure::Lasting(configuration(&format!("Redis at {address} cannot be used"), error.to_string()))
        }
        Kind::Server(_) | Kind::Extension => of_code(error, address),
        // Broken connections, time-outs, TLS, answers that are none of Redis's.
        _ => Failure::Passing(error.to_string()),
    }
}

// A whole call was refused: connecting, logging in, or sending the script.
fn of_code(error: &RedisError, address: &str) -> Failure {
    let reason = || error.to_string();
    let lasting =
        |what: &str| Failure::Lasting(configuration(&format!("Redis at {address}: {what}"), reason()));
    match error.code().unwrap_or_default() {
        "NOAUTH" | "WRONGPASS" => lasting("it wants a login: give username and password"),
        "NOPERM" => lasting(
            "the user may not do what the sink needs: allow EVALSHA, SCRIPT and the commands and keys in it",
        ),
        "MOVED" | "ASK" | "CROSSSLOT" => lasting(CLUSTER_NODE),
        "ERR" => lasting("it refuses the sink's script"),
        _ => Failure::Passing(reason()),
    }
}

fn configuration(what: &str, reason: String) -> Error {
    Error::configuration(what).caused_by(reason)
}

fn text_of(error: &ServerError) -> String {
    match error.details() {
        Some(details) => format!("{} {details}", error.code()),
        None => error.code().to_owned(),
    }
}

/// Pauses between attempts.
///
/// Several pipelines can fail of one cause. Each carries the round in which it was sent, and a round fails only once.
#[derive(Debug)]
pub(crate) struct Rounds {
    backoff: Backoff,
    failures: u32,
    round: u64,
    since: Time,
    until: Time,
}

impl Rounds {
    pub(crate) fn new(backoff: Backoff) -> Self {
        Self { backoff, failures: 0, round: 0, since: Time::MIN, until: Time::MIN }
    }

    /// The round of what is sent now.
    pub(crate) fn round(&self) -> u64 {
        self.round
    }

    /// Whether nothing has succeeded since the last failure.
    pub(crate) fn failing(&self) -> bool {
        self.failures > 0
    }

    /// Until when to send nothing, if it is not time yet.
    pub(crate) fn pause(&self, now: Time) -> Option<Time> {
        (self.failing() && now < self.until).then_some(self.until)
    }

    /// Something that was sent in this round has succeeded.
    pub(crate) fn succeeded(&mut self, round: u64) {
        if round == self.round {
            self.failures = 0;
        }
    }

    /// Something that was sent in this round has failed. Answers for how long nothing has succeeded.
    pub(crate) fn failed(&mut self, round: u64, now: Time) -> Duration {
        if !self.failing() {
            self.since = now;
        }
        if round == self.round {
            self.failures += 1;
            self.until = now + millis(self.backoff.delay(self.failures)).max(1);
            self.round += 1;
        }
        Duration::from_millis(u64::try_from(now.saturating_sub(self.since)).unwrap_or(0))
    }
}

#[cfg(test)]
#[path = "retry_tests.rs"]
mod tests;
