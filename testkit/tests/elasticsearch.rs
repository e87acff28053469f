//! Elasticsearch comes up as asked for, and keeps acknowledged documents over a crash.

use anyhow::{Context, Result};
use millstream_testkit::http::{get, request};
use millstream_testkit::{Elasticsearch, wait};
use std::time::Duration;

fn port(elasticsearch: &Elasticsearch) -> Result<u16> {
    Ok(elasticsearch.url().rsplit(':').next().context("no port")?.parse()?)
}

#[test]
fn documents_survive_a_crash() -> Result<()> {
    let mut elasticsearch = Elasticsearch::start()?;
    let port = port(&elasticsearch)?;
    assert_eq!(request(port, "PUT", "/a/_doc/1", None, r#"{"n":1}"#)?.status, 201);
    elasticsearch.kill9()?;
    assert!(get(port, "/", None).is_err());
    elasticsearch.restart()?;
    let found = || get(port, "/a/_doc/1", None).is_ok_and(|response| response.body.contains(r#"{"n":1}"#));
    assert!(wait::until(Duration::from_secs(30), found));
    Ok(())
}

#[test]
fn settings_and_password_are_obeyed() -> Result<()> {
    let builder = Elasticsearch::builder().setting("http.max_content_length: 1mb").password("changeme");
    let elasticsearch = builder.start()?;
    let port = port(&elasticsearch)?;
    assert_eq!(get(port, "/_cluster/health", None)?.status, 401);
    let login = Some("elastic:changeme");
    let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(1_200_000));
    // The node may cut the connection before the whole body has been sent.
    let refused = request(port, "PUT", "/a/_doc/1", login, &large).map(|response| response.status);
    assert!(refused.is_err() || refused.is_ok_and(|status| status == 413));
    assert_eq!(request(port, "PUT", "/a/_doc/1", login, "{}")?.status, 201);
    Ok(())
}

#[test]
fn tls_is_spoken_and_nothing_else() -> Result<()> {
    let elasticsearch = Elasticsearch::builder().password("changeme").tls().start()?;
    assert!(elasticsearch.url().starts_with("https://"));
    assert!(get(port(&elasticsearch)?, "/_cluster/health", Some("elastic:changeme")).is_err());
    let ca = elasticsearch.certificate().context("no certificate")?.ca.clone();
    let address = elasticsearch.url().trim_start_matches("https://").to_owned();
    let mut command = std::process::Command::new("openssl");
    command
        .args([
            "s_client",
            "-connect",
            &address,
            "-verify_return_error",
            "-verify_ip",
            "127.0.0.1",
            "-CAfile",
        ])
        .arg(ca);
    let output = command.stdin(std::process::Stdio::null()).output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
