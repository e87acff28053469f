//! Files of servers that run as another user than the one who set them up.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process::NOBODY;

/// Makes the home of a node of Elasticsearch or OpenSearch: folders for its data, and a copy of the
/// software's configuration with a small heap, which is returned.
pub(crate) fn search_home(software: &Path, dir: &Path) -> Result<PathBuf> {
    let config = dir.join("config");
    copy(&software.join("config"), &config)?;
    for name in ["data", "logs", "tmp"] {
        fs::create_dir_all(dir.join(name))?;
    }
    let options = fs::read_to_string(config.join("jvm.options"))?;
    fs::write(config.join("jvm.options"), without_jvm_logs(&options))?;
    fs::create_dir_all(config.join("jvm.options.d"))?;
    fs::write(config.join("jvm.options.d/heap.options"), "-Xms512m\n-Xmx512m\n")?;
    Ok(config)
}

// Garbage collection logs and heap dumps would go to the software's own directory, which is read-only.
fn without_jvm_logs(options: &str) -> String {
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
