//! A process group that can be found again later, by this process or another.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};

use crate::wait;

/// A group by the pid of its leader, and when that started: a pid alone may be somebody else's by tomorrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The leader's pid, which is the group's number.
    pub id: i32,
    /// When the leader started, in clock ticks since the machine did.
    pub started: u64,
}

/// One line of the kernel's process table.
struct Stat {
    state: String,
    group: i32,
    started: u64,
    /// In user and in kernel mode, all threads together, also those that have ended.
    cpu: Duration,
}

/// What a tick of processor time is to the kernel's readers (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

impl Group {
    /// The group that the running process `pid` leads.
    ///
    /// # Errors
    /// If there is no such process.
    pub fn led_by(pid: i32) -> Result<Self> {
        let stat = stat(pid).with_context(|| format!("there is no process {pid}"))?;
        Ok(Self { id: pid, started: stat.started })
    }

    /// Whether any of its processes runs; zombies do not count, for nobody may be there to reap them.
    pub fn is_running(self) -> bool {
        !self.members().is_empty()
    }

    /// Asks it to end (SIGTERM), and ends it (SIGKILL) if it has not after `grace`.
    ///
    /// # Errors
    /// If it survives even that.
    pub fn stop(self, grace: Duration) -> Result<()> {
        self.signal(Signal::TERM);
        if wait::until(grace, || !self.is_running()) {
            return Ok(());
        }
        self.kill9()
    }

    /// Ends it at once (SIGKILL), and waits until it is gone.
    ///
    /// # Errors
    /// If it is still there after 10 s.
    pub fn kill9(self) -> Result<()> {
        self.signal(Signal::KILL);
        if wait::until(Duration::from_secs(10), || !self.is_running()) {
            return Ok(());
        }
        bail!("process group {} survives SIGKILL", self.id)
    }

    /// Freezes it (SIGSTOP), as a machine that hangs would: connections stay open, nothing answers.
    pub fn pause(self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(self) {
        self.signal(Signal::CONT);
    }

    /// Memory in use by all its processes, in bytes.
    pub fn memory(self) -> u64 {
        self.members().into_iter().map(resident).sum()
    }

    /// Processor time that all its running processes have taken so far.
    pub fn cpu(self) -> Duration {
        self.members().into_iter().filter_map(stat).map(|stat| stat.cpu).sum()
    }

    fn signal(self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.id).filter(|_| self.is_running()) {
            let _ = kill_process_group(pid, signal); // one that has just ended is fine
        }
    }

    fn members(self) -> Vec<i32> {
        // A pid is not given out again while a group of that number lives, so a leader that started at
        // another time means that this group is gone.
        if stat(self.id).is_some_and(|leader| leader.started != self.started) {
            return Vec::new();
        }
        let Ok(entries) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid| self.has(*pid)).collect()
    }

    fn has(self, pid: i32) -> bool {
        stat(pid).is_some_and(|stat| stat.group == self.id && !matches!(stat.state.as_str(), "Z" | "X"))
    }
}

fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// "pid (name) state ppid pgrp ... starttime ...": the name may hold anything, but no parenthesis comes after
/// it.
fn parse_stat(line: &str) -> Option<Stat> {
    let fields: Vec<&str> = line.rsplit(") ").next()?.split(' ').collect();
    let field = |index: usize| fields.get(index).copied();
    let ticks = field(11)?.parse::<u32>().ok()? + field(12)?.parse::<u32>().ok()?;
    Some(Stat {
        state: field(0)?.to_owned(),
        group: field(2)?.parse().ok()?,
        started: field(19)?.parse().ok()?,
        cpu: TICK * ticks,
    })
}

pub(crate) fn resident(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use std::process;

    use super::*;

    #[test]
    fn a_name_with_parentheses_is_read_over() {
        let line = "12 (a) b (c) S 1 34 34 0 -1 0 0 0 0 0 7 5 0 0 20 0 1 0 987 0 0";
        let stat = parse_stat(line).expect("well formed");
        assert_eq!((stat.state.as_str(), stat.group, stat.started), ("S", 34, 987));
        assert_eq!(stat.cpu, Duration::from_millis(120));
    }

    #[test]
    fn a_pid_given_out_again_is_not_the_group() -> Result<()> {
        let pid = i32::try_from(process::id())?;
        let stat = stat(pid).context("we run")?;
        let leader = Group::led_by(stat.group).unwrap_or(Group { id: stat.group, started: 0 });
        let other = Group { id: pid, started: leader.started + 1 };
        assert!(!other.is_running());
        assert!(resident(pid) > 0);
        Ok(())
    }
}
