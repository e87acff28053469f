//! Operators that fail when a test says so.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use millstream::prelude::*;

/// A file that makes the next record fail, once, whatever happens afterwards: who takes the file away does
/// what its content says. The file is then called `NAME.tripped`.
#[derive(Clone)]
pub(crate) struct Tripwire(Option<PathBuf>);

impl Tripwire {
    /// The file of this name in the directory of tripwires, if there is one.
    pub(crate) fn new(directory: Option<&str>, name: &str) -> Self {
        Self(directory.map(|directory| Path::new(directory).join(name)))
    }

    /// To be called for each record.
    pub(crate) fn touch(&self) -> Result<()> {
        let Some(file) = &self.0 else { return Ok(()) };
        let tripped = file.with_added_extension("tripped");
        // Of several subtasks the first one gets it.
        if fs::rename(file, &tripped).is_err() {
            return Ok(());
        }
        let fault = fs::read_to_string(&tripped)
            .map_err(|error| Error::bug("a tripwire cannot be read").caused_by(error))?;
        misbehave(fault.trim())
    }
}

#[allow(clippy::panic, reason = "that is what is tested")]
fn misbehave(fault: &str) -> Result<()> {
    match fault {
        "error" => {
            let cause = io::Error::new(io::ErrorKind::ConnectionRefused, "nobody listens");
            return Err(Error::restart("the store is away").caused_by(cause));
        }
        "data" => return Err(Error::data("the stored state is damaged")),
        "panic" => panic!("a tripwire was touched"),
        "abort" => std::process::abort(),
        "segfault" => segfault(),
        "stack-overflow" => {
            overflow(1);
        }
        other => block(other)?,
    }
    Ok(())
}

#[allow(unsafe_code, reason = "that is what is tested")]
fn segfault() {
    let nowhere = std::ptr::without_provenance_mut::<u64>(8);
    // SAFETY: none, nothing is mapped there.
    unsafe { nowhere.write_volatile(1) };
}

#[allow(unconditional_recursion, reason = "that is what is tested")]
fn overflow(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 128]);
    overflow(depth + 1) + frame[127]
}

/// `block 5s`: nothing happens on the task's thread for so long.
#[allow(clippy::disallowed_methods, reason = "that is what is tested")]
fn block(fault: &str) -> Result<()> {
    let seconds = fault.strip_prefix("block ").and_then(|seconds| seconds.parse().ok());
    let seconds =
        seconds.ok_or_else(|| Error::bug(format!("a tripwire does not know the fault {fault:?}")))?;
    thread::sleep(Duration::from_secs(seconds));
    Ok(())
}
