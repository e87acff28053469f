//! Chromium runs without a screen.

use std::process::Command;

use anyhow::Result;
use millstream_testkit::Chromium;

#[test]
fn it_runs_the_script_of_a_page() -> Result<()> {
    let profile = tempfile::tempdir()?;
    let mut command = Command::new(Chromium::executable()?);
    command.args(Chromium::ARGUMENTS).arg(format!("--user-data-dir={}", profile.path().display()));
    command.args(["--dump-dom", "data:text/html,<script>document.write(6*7)</script>"]);
    let page = command.output()?;
    assert!(
        String::from_utf8_lossy(&page.stdout).contains("42"),
        "{}",
        String::from_utf8_lossy(&page.stderr)
    );
    Ok(())
}
