//! Loopback ports that nothing else takes while a server is down.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result, bail};

/// Below the range from which Linux takes ports for outgoing connections, so that a client cannot take the
/// port of a server that is just being restarted.
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
            if let Some(port) = claim(&dir, candidate())? {
                return Ok(port);
            }
        }
        bail!("no free loopback port between {} and {}", RANGE.start, RANGE.end)
    }

    /// Reserves a port by its number.
    ///
    /// # Errors
    /// If it is in use.
    pub fn exactly(number: u16) -> Result<Self> {
        let found = claim(&reservations()?, number)?;
        found.with_context(|| format!("port {number} is in use"))
    }

    pub(crate) fn exactly_or_free(number: Option<u16>) -> Result<Self> {
        number.map_or_else(Self::reserve, Self::exactly)
    }

    /// The port's number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

fn claim(dir: &Path, number: u16) -> Result<Option<Port>> {
    let path = dir.join(number.to_string());
    let file = File::options().create(true).append(true).open(&path);
    let file = file.with_context(|| format!("cannot open {}", path.display()))?;
    let free = file.try_lock().is_ok() && is_free(number);
    Ok(free.then_some(Port { number, _reserved: file }))
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
        assert!(Port::exactly(one.number()).is_err());
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, one.number()))?;
        drop(two);
        Ok(())
    }
}
