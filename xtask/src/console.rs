//! What the developer reads.

use std::time::Duration;

/// A line on standard output.
#[allow(clippy::print_stdout, reason = "the tool's own output")]
pub(crate) fn line(text: &str) {
    println!("{text}");
}

/// A line on standard error.
#[allow(clippy::print_stderr, reason = "the tool's own output")]
pub(crate) fn complain(text: &str) {
    eprintln!("{text}");
}

/// A time as people say it: `0.4 s`, `12 s`, `3 min 5 s`.
pub(crate) fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        10..100 => format!("{seconds} s"),
        _ => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_well() {
        let shown = [400, 12_300, 185_000].map(|millis| time(Duration::from_millis(millis)));
        assert_eq!(shown, ["0.4 s", "12 s", "3 min 5 s"]);
    }
}
