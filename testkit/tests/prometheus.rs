//! Prometheus comes up and scrapes.

use std::time::Duration;

use anyhow::Result;
use millstream_testkit::{Prometheus, port::Port, wait};

#[test]
fn it_scrapes_its_target() -> Result<()> {
    let port = Port::reserve()?.number();
    let itself = format!("127.0.0.1:{port}");
    let prometheus = Prometheus::builder().port(port).target(&itself).start()?;
    let up = || prometheus.query("up == 1").is_ok_and(|series| series.len() == 1);
    assert!(wait::until(Duration::from_secs(60), up), "{}", prometheus.server().log_tail());
    assert!(prometheus.query("up ==").is_err());
    Ok(())
}
