//! Claims the number of an attempt to run a job, by exclusive create of a numbered entry in the job's
//! directory.
//!
//! `<dir>/epochs/0000000001` and so on: of all processes that race for an entry exactly one gets it, the
//! others take the next. What is written into it is for people; the claim is that the entry exists.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use millstream_record::{Error, Result};
use millstream_stage::time::Clock;

use crate::clock::SystemClock;

/// Claims the next epoch of the job in this directory, which is made where it does not exist: higher than
/// every earlier one.
///
/// # Errors
/// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) when the directory cannot be
/// written.
pub fn claim(job_dir: &Path) -> Result<u64> {
    let dir = job_dir.join("epochs");
    claim_in(&dir).map_err(|error| {
        let what =
            format!("no epoch can be claimed in {}: the job directory must be writable", dir.display());
        Error::configuration(what).caused_by(error)
    })
}

/// The highest epoch that was claimed in this directory so far; 0 for none.
///
/// # Errors
/// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) when the directory cannot be
/// read.
pub fn latest(job_dir: &Path) -> Result<u64> {
    let dir = job_dir.join("epochs");
    highest(&dir)
        .map_err(|error| Error::configuration(format!("{} cannot be read", dir.display())).caused_by(error))
}

/// The process that made the latest claim in this directory, if it still runs the same program on this
/// machine. None also where that cannot be known, as in containers of their own.
pub fn holder(job_dir: &Path) -> Option<u32> {
    let dir = job_dir.join("epochs");
    let entry = dir.join(format!("{:010}", highest(&dir).ok()?));
    let claim = fs::read_to_string(entry).ok()?;
    let (_, pid) = claim.split_once("\"pid\":")?;
    let pid: u32 = pid.split(',').next()?.parse().ok()?;
    let program = |pid: &str| fs::read_link(format!("/proc/{pid}/exe")).ok();
    let same = pid != std::process::id() && program(&pid.to_string())? == program("self")?;
    same.then_some(pid)
}

/// Notes an epoch that was claimed elsewhere, so that later claims here are higher.
///
/// # Errors
/// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) when the directory cannot be
/// written.
pub(crate) fn remember(job_dir: &Path, epoch: u64) -> Result<()> {
    let dir = job_dir.join("epochs");
    let noted = fs::create_dir_all(&dir).and_then(|()| {
        let entry = dir.join(format!("{epoch:010}"));
        let made = OpenOptions::new().write(true).create(true).truncate(false).open(entry)?;
        sign(made, &dir)
    });
    noted.map_err(|error| {
        Error::configuration(format!("epoch {epoch} cannot be noted in {}", dir.display())).caused_by(error)
    })
}

fn claim_in(dir: &Path) -> io::Result<u64> {
    fs::create_dir_all(dir)?;
    let mut epoch = highest(dir)? + 1;
    loop {
        let entry = dir.join(format!("{epoch:010}"));
        match OpenOptions::new().write(true).create_new(true).open(entry) {
            Ok(file) => return sign(file, dir).map(|()| epoch),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => epoch += 1,
            Err(error) => return Err(error),
        }
    }
}

// A claim must outlive a power cut: the file and its directory are synced.
fn sign(mut file: File, dir: &Path) -> io::Result<()> {
    writeln!(file, r#"{{"pid":{},"time":{}}}"#, std::process::id(), SystemClock::new().now())?;
    file.sync_all()?;
    File::open(dir)?.sync_all()
}

fn highest(dir: &Path) -> io::Result<u64> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut highest = 0;
    for entry in entries {
        let number = entry?.file_name().to_str().and_then(|name| name.parse().ok());
        highest = highest.max(number.unwrap_or(0));
    }
    Ok(highest)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::thread;

    use super::*;

    #[test]
    fn each_claim_is_higher_than_all_before() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(latest(dir.path()).unwrap(), 0);
        assert_eq!(claim(dir.path()).unwrap(), 1);
        fs::write(dir.path().join("epochs/0000000007"), "").unwrap();
        fs::write(dir.path().join("epochs/README"), "of no meaning").unwrap();
        assert_eq!(claim(dir.path()).unwrap(), 8);
        assert_eq!(latest(dir.path()).unwrap(), 8);
        let text = fs::read_to_string(dir.path().join("epochs/0000000008")).unwrap();
        let entry: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(entry["pid"], std::process::id());
        assert!(entry["time"].as_i64().unwrap() > 1_600_000_000_000);
    }

    #[test]
    fn racing_claims_get_different_epochs() {
        let dir = tempfile::tempdir().unwrap();
        let claims = || (0..25).map(|_| claim(dir.path()).unwrap()).collect::<Vec<_>>();
        let all: Vec<u64> = thread::scope(|scope| {
            let racers: Vec<_> = (0..4).map(|_| scope.spawn(claims)).collect();
            racers.into_iter().flat_map(|racer| racer.join().unwrap()).collect()
        });
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 100);
        assert_eq!(latest(dir.path()).unwrap(), 100);
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = claim(file.path()).unwrap_err();
        assert!(error.chain().contains("epochs"), "{}", error.chain());
    }
}
