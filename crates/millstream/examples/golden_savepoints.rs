//! Writes the golden savepoints of a new version, which every later version must restore:
//! `cargo run -p millstream --example golden_savepoints -- v2`.
//!
//! They go into `crates/millstream/tests/golden/v2/<job>/`, with `before.txt`, what the job had already said
//! by then. A version that is there already is never written again: what was promised stays.

#[path = "../tests/support/golden.rs"]
mod golden;
#[path = "../tests/support/paused.rs"]
mod paused;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use millstream::runtime::{RuntimeOptions, start};

fn main() -> Result<()> {
    let version = std::env::args().nth(1).context("which version? Name it, such as v2")?;
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(&version);
    ensure!(!dir.exists(), "{} is there already: golden savepoints are never written again", dir.display());
    fs::create_dir_all(&dir)?;
    golden::JOBS.iter().try_for_each(|job| write(job, &dir))
}

/// Runs a job until a third of its input is read, and keeps what it has then.
fn write(job: &str, dir: &Path) -> Result<()> {
    let (source, reached) = paused::Paused::after(golden::BEFORE, golden::input());
    let results = golden::Results::default();
    let checkpoints = tempfile::tempdir()?;
    let options = RuntimeOptions {
        checkpoints_dir: Some(format!("file://{}", checkpoints.path().display())),
        ..RuntimeOptions::default()
    };
    let running = start(golden::plan(job, source, 2, &results), options)?;
    reached.wait(golden::SPLITS);
    let saved = running.stop_with_savepoint(Some(&format!("file://{}", dir.display())), false)?;
    running.wait()?;
    let url = saved.url.context("a savepoint has a place")?;
    let place = dir.join(job);
    fs::rename(url.trim_start_matches("file://"), &place)?;
    let mut before = results.take();
    before.sort();
    fs::write(place.join("before.txt"), before.iter().map(|row| format!("{row}\n")).collect::<String>())?;
    Ok(())
}
