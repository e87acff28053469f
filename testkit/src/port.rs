//! Loopback ports that nothing else takes while a server is down.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result, bail};

/// Below the range from which Linux takes ports for outgoing connections, so that a client cannot take the port of a
/// server that is just being restarted.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A free loopback port, reserved among all processes that use this kit until dropped.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _reserved: File,
}

impl Port {
    /// Finds and reserves a port.
    ///
    /// # Errors
    /// If every port of the range is in use.
    pub fn reserve() -> Result<Self> {
        let dir = reservations()?;
        for _ in RANGE {
            let number = candidate();
            let path = dir.join(number.to_string());
            let file = File::options().create(true).append(true).open(&path);
            let file = file.with_context(|| format!("cannot open {}", path.display()))?;
            if file.try_lock().is_ok() && is_free(number) {
                return Ok(Self { number, _reserved: file });
            }
        }
        bail!("no free loopback port between {} and {}", RANGE.start, RANGE.end)
    }

    /// The port's number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

/// Processes start to look at different places, so that they rarely meet.
fn candidate() -> u16 {
    let width = u32::from(RANGE.end - RANGE.start);
    let start = process::id().wrapping_mul(61) % width;
    let offset = (start + u32::from(NEXT.fetch_add(1, Ordering::Relaxed))) % width;
    RANGE.start + u16::try_from(offset).unwrap_or(0)
}

fn is_free(number: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok()
}

fn reservations() -> Result<PathBuf> {
    let uid = rustix::process::getuid().as_raw();
    let dir = std::env::temp_dir().join(format!("millstream-ports-{uid}"));
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_ports_differ_and_can_be_bound() -> Result<()> {
        let (one, two) = (Port::reserve()?, Port::reserve()?);
        assert_ne!(one.number(), two.number());
        TcpListener::bind((Ipv4Addr::LOCALHOST, one.number()))?;
        Ok(())
    }
}
