//! What to do about an answer or a failure. Decides only; the delivery engine acts.

use millstream_delivery::{NotReady, Verdict};
use millstream_record::{Error, ErrorKind};
use millstream_stage::version::Version;
use redis::{RedisError, ServerError, Value};

/// What became of one write, by its reply. `epoch` is that of the writer.
pub(crate) fn of_reply(reply: &Value, epoch: u64) -> Verdict {
    match reply {
        Value::Int(1) => Verdict::Written,
        Value::BulkString(newer) => of_newer(newer, epoch),
        Value::ServerError(error) => of_server_error(error),
        // Perhaps of something between, which then gives it to every write.
        other => Verdict::Unclear(format!("an answer that the script does not give: {other:?}")),
    }
}

fn of_newer(newer: &[u8], epoch: u64) -> Verdict {
    let text = String::from_utf8_lossy(newer);
    match text.parse::<Version>() {
        Ok(version) if version.epoch() > epoch => Verdict::Stop(Error::new(
            ErrorKind::Fenced,
            format!(
                "Redis holds a write of attempt {}, this is attempt {epoch}: a newer attempt of the job runs, or the job was given an \
                 empty directory while its old results are still there (then delete those keys)",
                version.epoch()
            ),
        )),
        Ok(_) => Verdict::Stale,
        Err(_) => Verdict::Refused(format!("where its version should be, the key holds {text:?}")),
    }
}

/// What an error reply means for the command that it answers.
///
/// A lost login or right may come back (a password is rotated, rights are being changed), and the start has
/// shown that they were there: the write waits.
pub(crate) fn of_server_error(error: &ServerError) -> Verdict {
    let text = text_of(error);
    match code_of(&text) {
        // It was sent again just now.
        "NOSCRIPT" => wait(text),
        "MOVED" | "ASK" | "CROSSSLOT" => Verdict::Stop(configuration(CLUSTER_NODE, text)),
        "OOM" | "READONLY" | "MISCONF" | "NOREPLICAS" | "BUSY" | "LOADING" | "MASTERDOWN" | "CLUSTERDOWN"
        | "TRYAGAIN" | "NOAUTH" | "WRONGPASS" | "NOPERM" => wait(text),
        "WRONGTYPE" => Verdict::Refused(text),
        _ => Verdict::Unclear(text),
    }
}

/// Whether the server does not know the script: after a restart, or when somebody has flushed its scripts.
pub(crate) fn forgot_script(reply: &Value) -> bool {
    matches!(reply, Value::ServerError(error) if error.code() == "NOSCRIPT")
}

/// Whether the server is a replica: after a fail-over the address may lead to the new primary.
pub(crate) fn is_read_only(reply: &Value) -> bool {
    matches!(reply, Value::ServerError(error) if code_of(&text_of(error)) == "READONLY")
}

const CLUSTER_NODE: &str =
    "this is one node of a Redis Cluster, which this sink does not write to: give a single server or a proxy";

fn wait(reason: String) -> Verdict {
    Verdict::Wait { reason, overloaded: false }
}

/// The code of an error reply. Up to Redis 6.2 that of a command within a script is wrapped: `ERR Error
/// running script (call to f_0f..): @user_script:36: @user_script: 36: -OOM command not allowed ...`.
fn code_of(text: &str) -> &str {
    let inner = text.rsplit("@user_script:").next().unwrap_or_default();
    let inner = inner.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, ' ' | ':' | '-'));
    let wrapped =
        text.starts_with("ERR Error running script") || text.starts_with("ERR Error compiling script");
    let text = if wrapped { inner } else { text };
    let code = text.split(' ').next().unwrap_or_default();
    if code.bytes().all(|byte| byte.is_ascii_uppercase()) { code } else { "ERR" }
}

/// What a failed connection or call means. `address` is for the message.
pub(crate) fn of_client_error(error: &RedisError, address: &str) -> NotReady {
    use redis::ErrorKind as Kind;
    match error.kind() {
        // Said instead of any other answer, also to a login.
        _ if error.to_string().contains("max number of clients") => NotReady::Wait(error.to_string()),
        Kind::AuthenticationFailed => {
            NotReady::Stop(configuration(&format!("Redis at {address} refuses the login"), error.to_string()))
        }
        Kind::InvalidClientConfig | Kind::RESP3NotSupported => {
            NotReady::Stop(configuration(&format!("Redis at {address} cannot be used"), error.to_string()))
        }
        Kind::Server(_) | Kind::Extension => of_code(error, address),
        // A certificate does not become trusted by waiting; the client hands on no more than the text.
        _ if error.to_string().contains("certificate") => NotReady::Stop(configuration(
            &format!("Redis at {address} is not trusted: name the certificate authority's file in ca-file"),
            error.to_string(),
        )),
        // Broken connections, time-outs, answers that are none of Redis's.
        _ => NotReady::Wait(error.to_string()),
    }
}

// A whole call was refused: connecting, logging in, or sending the script.
fn of_code(error: &RedisError, address: &str) -> NotReady {
    let reason = || error.to_string();
    let lasting =
        |what: &str| NotReady::Stop(configuration(&format!("Redis at {address}: {what}"), reason()));
    match error.code().unwrap_or_default() {
        "NOAUTH" | "WRONGPASS" => lasting("it wants a login: give username and password"),
        "NOPERM" => lasting(
            "the user may not do what the sink needs: allow EVALSHA, SCRIPT and the commands and keys in it",
        ),
        "MOVED" | "ASK" | "CROSSSLOT" => lasting(CLUSTER_NODE),
        "ERR" => lasting(
            "it refuses the number of the database, or the sink's script (a Sentinel does: give the address of the server)",
        ),
        _ => NotReady::Wait(reason()),
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

#[cfg(test)]
mod tests;
