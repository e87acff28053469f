//! Ends a server and removes its data when the process that owns it is gone, however it went.

use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, Result};

/// Reads process groups, one a line (0: none), until the pipe closes: then the owner has let go or died. No
/// polling, and no group that the owner has already seen end.
const SCRIPT: &str = r#"
while read -r line; do group=$line; done
[ "${group:-0}" = 0 ] || kill -s KILL -- "-$group" 2>/dev/null
rm -rf -- "$1" 2>/dev/null || { sleep 1; rm -rf -- "$1"; }
"#;

/// A shell in a session of its own, on the other end of a pipe.
#[derive(Debug)]
pub(crate) struct Watchdog {
    shell: Child,
    pipe: Option<ChildStdin>,
}

impl Watchdog {
    /// Watches over the data in `dir`, and over the groups that [`Watchdog::guard`] names.
    pub(crate) fn over(dir: &Path) -> Result<Self> {
        let mut command = Command::new("setsid");
        command.args(["sh", "-c", SCRIPT, "millstream-watchdog"]).arg(dir);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut shell = command.spawn().context("cannot start setsid (Debian package util-linux)")?;
        let pipe = shell.stdin.take();
        Ok(Self { shell, pipe })
    }

    /// From now on, this process group ends with the owner; 0 for none.
    pub(crate) fn guard(&mut self, group: i32) -> Result<()> {
        let pipe = self.pipe.as_mut().context("the watchdog has been dismissed")?;
        writeln!(pipe, "{group}").context("the watchdog has ended")
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.pipe.take());
        // It only kills and removes: it ends soon, and then nothing is left of the server.
        let _ = self.shell.wait();
    }
}
