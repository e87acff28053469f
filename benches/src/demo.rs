//! The demo's memory.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::Arguments;
use crate::measure::{peak_of, wait};
use crate::report::Report;

/// Runs `clickstream demo` as it was built beside this program.
pub(crate) fn run(_: &Arguments, report: &mut Report) -> Result<()> {
    let program = std::env::current_exe()?.with_file_name("clickstream");
    ensure!(
        program.exists(),
        "clickstream is not built: run cargo build --release --package clickstream first"
    );
    let dir = std::env::temp_dir().join(format!("millstream-bench-demo-{}", std::process::id()));
    let arguments = ["demo", "--for", "20s", "--port", "0", "--dir"];
    let mut demo =
        Command::new(program).args(arguments).arg(&dir).spawn().context("the demo does not start")?;
    let mut peak = 0;
    let status = loop {
        peak = peak.max(peak_of(demo.id()).unwrap_or(0));
        if let Some(status) = demo.try_wait()? {
            break status;
        }
        wait(Duration::from_millis(50));
    };
    fs::remove_dir_all(&dir)?;
    ensure!(status.success(), "the demo failed: {status}");
    report.line(format!("clickstream demo --for 20s: peak memory {} MiB", peak >> 20));
    Ok(())
}
