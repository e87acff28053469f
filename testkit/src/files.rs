//! Files of servers that run as another user than the one who set them up.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use anyhow::{Context, Result};

use crate::process::NOBODY;

/// Garbage collection logs and heap dumps would go to the software's own directory, which is read-only.
pub(crate) fn without_jvm_logs(options: &str) -> String {
    let unwanted = |line: &&str| ["gc.log", "-Xlog:gc", "HeapDump"].iter().any(|word| line.contains(word));
    let wanted: Vec<&str> = options.lines().filter(|line| !unwanted(line)).collect();
    wanted.join("\n") + "\n"
}

/// Root hands everything over, since the server will run as `nobody`; other users keep their files.
pub(crate) fn give_to_nobody(dir: &Path) -> Result<()> {
    if !rustix::process::getuid().is_root() {
        return Ok(());
    }
    walk(dir, &mut |path| Ok(chown(path, Some(NOBODY), Some(NOBODY))?))
}

/// Lets every user read `dir`, and enter or run what its owner may.
pub(crate) fn open_to_all(dir: &Path) -> Result<()> {
    walk(dir, &mut |path| {
        let mut permissions = path.metadata()?.permissions();
        let mode = permissions.mode();
        let enter = if mode & 0o100 != 0 { 0o111 } else { 0 };
        permissions.set_mode(mode | 0o444 | enter);
        Ok(fs::set_permissions(path, permissions)?)
    })
}

fn walk(path: &Path, visit: &mut impl FnMut(&Path) -> Result<()>) -> Result<()> {
    visit(path)?;
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            walk(&entry?.path(), visit)?;
        }
    }
    Ok(())
}

/// Copies a directory with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
