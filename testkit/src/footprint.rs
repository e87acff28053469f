//! What a process holds: to show that it grows no further.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{fetch, java};

/// What a process of Java holds at a moment at which its garbage was collected.
#[derive(Clone, Debug)]
pub struct Footprint {
    /// How many threads there are of each name; digits are left out of the names.
    pub threads: BTreeMap<String, usize>,
    /// How many files and sockets are open.
    pub files: usize,
    /// Memory in use, in bytes.
    pub memory: u64,
    /// The names of the files that are mapped into its memory, each as often as there are such files.
    pub mapped: BTreeMap<String, usize>,
}

impl Footprint {
    /// Collects the garbage of this process, and measures it.
    ///
    /// # Errors
    /// If there is no such process of Java.
    pub fn of_java(pid: i32) -> Result<Self> {
        let mut collect = Command::new(java::tool("jcmd")?);
        fetch::run(collect.arg(pid.to_string()).arg("GC.run"), "jcmd")?;
        let process = PathBuf::from(format!("/proc/{pid}"));
        Ok(Self {
            threads: threads(&process)?,
            files: fs::read_dir(process.join("fd"))?.count(),
            memory: crate::group::resident(pid),
            mapped: mapped(&fs::read_to_string(process.join("maps"))?),
        })
    }

    /// How many files are mapped whose name begins and ends so.
    pub fn mapped_like(&self, start: &str, end: &str) -> usize {
        let like = |(name, _): &(&String, &usize)| name.starts_with(start) && name.ends_with(end);
        self.mapped.iter().filter(like).map(|(_, number)| number).sum()
    }
}

fn threads(process: &Path) -> Result<BTreeMap<String, usize>> {
    let mut threads = BTreeMap::new();
    for task in fs::read_dir(process.join("task")).context("cannot list threads")? {
        // One that has just ended has no name any more.
        let name = fs::read_to_string(task?.path().join("comm")).unwrap_or_default();
        let name = name.trim().replace(|letter: char| letter.is_ascii_digit(), "");
        *threads.entry(name).or_default() += 1;
    }
    Ok(threads)
}

/// A file is mapped in several pieces; a deleted one still has its device and its number.
fn mapped(maps: &str) -> BTreeMap<String, usize> {
    let files: BTreeSet<_> = maps.lines().filter_map(file).collect();
    let mut mapped = BTreeMap::new();
    for (_, _, name) in files {
        *mapped.entry(name).or_default() += 1;
    }
    mapped
}

/// "start-end permissions offset device inode   path": device, inode and the path's last part.
fn file(line: &str) -> Option<(&str, &str, String)> {
    let mut fields = line.split_ascii_whitespace().skip(3);
    let (device, inode, path) = (fields.next()?, fields.next()?, fields.next()?);
    let name = Path::new(path).file_name()?.to_string_lossy().into_owned();
    path.starts_with('/').then_some((device, inode, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_a_file_count_once_and_files_of_a_name_are_told_apart() {
        let maps = "7f0-7f1 r--p 00 fe:00 11 /tmp/a.so (deleted)\n7f1-7f2 r-xp 01 fe:00 11 /tmp/a.so (deleted)\n\
                    7f3-7f4 r--p 00 fe:00 12 /var/a.so\n7f5-7f6 rw-p 00 00:00 0 \n7f7-7f8 rw-p 00 00:00 0 [heap]\n";
        assert_eq!(mapped(maps), BTreeMap::from([("a.so".to_owned(), 2)]));
    }
}
