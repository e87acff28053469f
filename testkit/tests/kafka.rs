//! Kafka comes up, creates topics and keeps them over a stop and a crash.

use std::net::TcpStream;

use anyhow::{Context, Result};
use millstream_testkit::{Kafka, unique_name};

#[test]
fn topics_survive_restart_and_crash() -> Result<()> {
    let mut kafka = Kafka::start()?;
    kafka.create_topics(&[("one", 1), ("four", 4)])?;
    kafka.restart()?;
    let again = kafka.create_topics(&[("four", 4)]).expect_err("it exists").to_string();
    assert!(again.contains("four") && again.contains("exists"), "{again}");
    kafka.kill9()?;
    assert!(TcpStream::connect(kafka.bootstrap()).is_err());
    kafka.restart()?;
    assert!(kafka.create_topics(&[("one", 1)]).is_err());
    kafka.create_topic_with("large", 1, &[("max.message.bytes", "10485760")])?;
    assert!(kafka.create_topic_with("odd", 1, &[("max.massage.bytes", "1")]).is_err());
    Ok(())
}

#[test]
fn a_shared_broker_is_one_and_cannot_be_taken_by_name() -> Result<()> {
    let kafka = Kafka::shared()?;
    assert!(std::ptr::eq(kafka, Kafka::shared()?));
    kafka.create_topics(&[(&unique_name("a"), 2)])?;
    assert!(Kafka::at(kafka.bootstrap().to_owned()).stop().is_err());
    Ok(())
}

#[test]
fn listeners_with_login_and_with_tls_are_there() -> Result<()> {
    let kafka = Kafka::builder().sasl("alice", "alice-secret").tls().start()?;
    TcpStream::connect(kafka.sasl_bootstrap().context("no SASL listener")?)?;
    TcpStream::connect(kafka.tls_bootstrap().context("no TLS listener")?)?;
    assert!(kafka.certificate().context("no certificate")?.ca.exists());
    assert_ne!(kafka.sasl_bootstrap(), Some(kafka.bootstrap()));
    Ok(())
}
