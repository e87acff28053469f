//! A disk that is soon full.

use std::process::Command;

use anyhow::{Result, ensure};

/// Runs a test of this program again in a mount namespace of its own, with a disk of this size in memory,
/// whose directory is in `variable`. The disk ends with that process; no root is needed where user namespaces
/// are allowed.
pub(crate) fn run_again(variable: &str, size: &str, test: &str) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "--user", "--map-root-user", "sh", "-c"]);
    command.arg(format!("mount -t tmpfs -o size={size} tmpfs \"$0\" && exec \"$@\"")).arg(dir.path());
    command.arg(std::env::current_exe()?).args(["--exact", test]);
    let output = command.env(variable, dir.path()).output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    ensure!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    Ok(())
}
