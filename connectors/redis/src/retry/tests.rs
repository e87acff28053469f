use super::*;

#[test]
fn a_reply_says_whether_it_was_written() {
    assert!(matches!(of_reply(&Value::Int(1), 3), Verdict::Written));
    let stored = |epoch| Value::BulkString(Version::new(epoch, 7).unwrap().to_string().into_bytes());
    assert!(matches!(of_reply(&stored(2), 3), Verdict::Stale));
    assert!(matches!(of_reply(&stored(3), 3), Verdict::Stale));
    let Verdict::Stop(error) = of_reply(&stored(4), 3) else { panic!("a newer attempt runs") };
    assert_eq!(error.kind(), ErrorKind::Fenced);
    assert!(matches!(of_reply(&Value::BulkString(b"7".to_vec()), 3), Verdict::Refused(_)));
    assert!(matches!(of_reply(&Value::Okay, 3), Verdict::Unclear(_)));
}

fn error(line: &str) -> ServerError {
    let reply = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
    match reply {
        Value::ServerError(error) => error,
        other => panic!("{other:?}"),
    }
}

// As Redis 6.2 wraps the error of a command within a script, and as Redis 7 and Valkey give it.
const WRAPPED: &str = "ERR Error running script (call to f_2cce9a): @user_script:36: @user_script: 36: -";

fn passes(line: &str) -> bool {
    matches!(of_server_error(&error(line)), Verdict::Wait { reason, .. } if reason.len() > 10)
}

#[test]
fn what_the_server_gets_over_is_waited_for_in_every_version() {
    for line in [
        "OOM command not allowed when used memory > 'maxmemory'.",
        "READONLY You can't write against a read only replica.",
        "MISCONF Redis is configured to save RDB snapshots",
        "NOREPLICAS Not enough good replicas to write.",
    ] {
        assert!(passes(line) && passes(&format!("{WRAPPED}{line}")), "{line}");
        assert!(passes(&format!("{line} script: 2cce9a, on @user_script:36.")), "{line}");
    }
    for line in [
        "LOADING Redis is loading the dataset in memory",
        "MASTERDOWN Link with MASTER is down",
        "CLUSTERDOWN The cluster is down",
        "TRYAGAIN Multiple keys request during rehashing of slot",
        "BUSY Redis is busy running a script.",
        "NOAUTH Authentication required.",
        "WRONGPASS invalid username-password pair",
        "NOPERM this user has no permissions to access one of the keys used as arguments",
    ] {
        assert!(passes(line), "{line}");
    }
    let replica =
        Value::ServerError(error(&format!("{WRAPPED}READONLY You can't write against a read only replica.")));
    assert!(is_read_only(&replica) && !is_read_only(&Value::Int(1)));
}

#[test]
fn what_is_wrong_with_the_key_the_address_or_the_script() {
    for line in ["MOVED 3999 127.0.0.1:6381", "ASK 3999 127.0.0.1:6381", "CROSSSLOT Keys in request"] {
        let Verdict::Stop(error) = of_server_error(&error(line)) else { panic!("{line}") };
        assert_eq!(error.kind(), ErrorKind::Configuration);
    }
    let wrong_type = "WRONGTYPE Operation against a key holding the wrong kind of value";
    for line in [
        "WRONGTYPE the key holds a list",
        &format!("{}{wrong_type}", WRAPPED.trim_end_matches(" @user_script: 36: -")),
    ] {
        assert!(matches!(of_server_error(&error(line)), Verdict::Refused(_)), "{line}");
    }
    for line in [
        "ERR value is too long",
        "ERR Script killed by user with SCRIPT KILL...",
        &format!("{WRAPPED}The user can't"),
    ] {
        assert!(matches!(of_server_error(&error(line)), Verdict::Unclear(_)), "{line}");
    }
    assert!(forgot_script(&Value::ServerError(error("NOSCRIPT No matching script."))));
}

#[test]
fn a_refused_login_lasts_and_a_broken_connection_passes() {
    let refused =
        RedisError::from((redis::ErrorKind::AuthenticationFailed, "Password authentication failed"));
    let NotReady::Stop(error) = of_client_error(&refused, "redis://db") else { panic!("it lasts") };
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.chain().contains("redis://db"), "{}", error.chain());
    let broken = RedisError::from(std::io::Error::other("broken pipe"));
    assert!(matches!(of_client_error(&broken, "redis://db"), NotReady::Wait(_)));
    let no_login = RedisError::from(error_of("NOAUTH Authentication required."));
    assert!(matches!(of_client_error(&no_login, "redis://db"), NotReady::Stop(_)));
    let crowded = RedisError::from(error_of("ERR max number of clients reached"));
    assert!(matches!(of_client_error(&crowded, "redis://db"), NotReady::Wait(_)));
    let no_scripts = RedisError::from(error_of("ERR unknown command 'SCRIPT'"));
    assert!(matches!(of_client_error(&no_scripts, "redis://db"), NotReady::Stop(_)));
}

fn error_of(line: &str) -> ServerError {
    error(line)
}
