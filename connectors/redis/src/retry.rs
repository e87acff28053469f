//! What to do about an answer or a failure, and when to try again. Decides only; the delivery acts.

use std::time::Duration;

use millstream_core::backoff::Backoff;
use millstream_core::time::{Time, millis};
use millstream_core::version::Version;
use millstream_core::{Error, ErrorKind};
use redis::{RedisError, ServerError, ServerErrorKind, Value};

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
pub(crate) fn of_server_error(error: &ServerError) -> Outcome {
    let reason = || text_of(error);
    match error.kind() {
        Some(kind) => of_server_kind(kind, reason),
        None => match error.code() {
            "NOAUTH" | "WRONGPASS" => {
                Outcome::Stop(configuration("Redis wants a login: give username and password", reason()))
            }
            "OOM" | "MISCONF" | "NOREPLICAS" | "BUSY" => Outcome::Retry(reason()),
            _ => Outcome::Reject(reason()),
        },
    }
}

fn of_server_kind(kind: ServerErrorKind, reason: impl Fn() -> String) -> Outcome {
    use ServerErrorKind as Kind;
    match kind {
        Kind::NoScript => Outcome::NoScript,
        Kind::BusyLoading | Kind::ReadOnly | Kind::MasterDown | Kind::ClusterDown | Kind::TryAgain => {
            Outcome::Retry(reason())
        }
        Kind::Moved | Kind::Ask | Kind::CrossSlot => Outcome::Stop(configuration(
            "this is one node of a Redis Cluster, which this sink does not write to: give a single server or a proxy",
            reason(),
        )),
        Kind::NoPerm => Outcome::Stop(configuration(
            "the user may not do what the sink needs: allow EVALSHA, SCRIPT and the commands and keys in it",
            reason(),
        )),
        Kind::ResponseError | Kind::ExecAbort | Kind::NotBusy | Kind::NoSub => Outcome::Reject(reason()),
        // The client's list may grow; what is not known is tried again, for as long as `retry-for` says.
        _ => Outcome::Retry(reason()),
    }
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

// A whole call was refused: the same rules as for a single write.
fn of_code(error: &RedisError, address: &str) -> Failure {
    let reason = || error.to_string();
    let outcome = match error.kind() {
        redis::ErrorKind::Server(kind) => of_server_kind(kind, reason),
        _ if error.code() == Some("NOAUTH") || error.code() == Some("WRONGPASS") => {
            Outcome::Stop(configuration("Redis wants a login: give username and password", reason()))
        }
        _ => Outcome::Retry(reason()),
    };
    match outcome {
        Outcome::Stop(error) => Failure::Lasting(error.in_context(format_args!("Redis at {address}"))),
        Outcome::Reject(reason) => {
            Failure::Lasting(configuration(&format!("Redis at {address} refuses the sink's script"), reason))
        }
        Outcome::Retry(reason) => Failure::Passing(reason),
        Outcome::Written | Outcome::Stale | Outcome::NoScript => Failure::Passing(reason()),
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
