//! Wall time, processor time and memory of this process.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::time::{ClockId, clock_gettime};

/// What a piece of work took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Took {
    pub(crate) wall: Duration,
    /// All threads of the process together.
    pub(crate) cpu: Duration,
}

impl Took {
    /// Nanoseconds of processor time per event.
    pub(crate) fn cpu_per(&self, events: u64) -> f64 {
        self.cpu.as_nanos() as f64 / events as f64
    }

    /// Nanoseconds of wall time per event.
    pub(crate) fn wall_per(&self, events: u64) -> f64 {
        self.wall.as_nanos() as f64 / events as f64
    }

    /// The smaller of each.
    pub(crate) fn min(self, other: Self) -> Self {
        Self { wall: self.wall.min(other.wall), cpu: self.cpu.min(other.cpu) }
    }
}

/// Runs something and measures it.
#[allow(clippy::disallowed_methods, reason = "a measuring tool is a clock's home")]
pub(crate) fn time<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Took)> {
    let (began, cpu) = (Instant::now(), cpu_time());
    let result = work()?;
    Ok((result, Took { wall: began.elapsed(), cpu: cpu_time() - cpu }))
}

/// Measures several times: the last result, and the smallest of each time, since whatever else the machine
/// does only ever adds.
pub(crate) fn best_of<T>(runs: usize, mut run: impl FnMut() -> Result<(T, Took)>) -> Result<(T, Took)> {
    let (mut result, mut best) = run()?;
    for _ in 1..runs {
        let (again, took) = run()?;
        (result, best) = (again, best.min(took));
    }
    Ok((result, best))
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Processor time of the processes that this one has started and waited for, and of theirs.
#[cfg(feature = "servers")]
pub(crate) fn children_cpu() -> Result<Duration> {
    // What a tick is to the kernel's readers (`USER_HZ`).
    const TICK: Duration = Duration::from_millis(10);
    let stat = fs::read_to_string("/proc/self/stat")?;
    // "pid (name) state ...": the fields after the name, of which the 14th and 15th are the children's.
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(13).take(2);
    let ticks = fields.map(str::parse::<u32>).sum::<Result<u32, _>>()?;
    Ok(TICK * ticks)
}

/// Bytes of memory that the process holds now.
pub(crate) fn resident() -> Result<u64> {
    status("self", "VmRSS")
}

/// The most that it held since [`forget_peak`].
#[cfg(any(feature = "rocksdb", feature = "servers"))]
pub(crate) fn peak() -> Result<u64> {
    status("self", "VmHWM")
}

/// Begins a new peak.
#[cfg(any(feature = "rocksdb", feature = "servers"))]
pub(crate) fn forget_peak() -> Result<()> {
    Ok(fs::write("/proc/self/clear_refs", "5")?)
}

/// The most that another process held so far.
pub(crate) fn peak_of(process: u32) -> Result<u64> {
    status(&process.to_string(), "VmHWM")
}

/// Does nothing for a while.
#[allow(clippy::disallowed_methods, reason = "no stage, but somebody who watches a job")]
pub(crate) fn wait(time: Duration) {
    std::thread::sleep(time);
}

fn status(process: &str, name: &str) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Ok(kilobytes.unwrap_or(0) * 1024)
}
