//! What a stack trace of Java is about.

/// The message of the innermost cause in a stack trace, with the outermost one before it if they differ.
pub(crate) fn root_cause(trace: &str) -> String {
    let outermost = message(trace);
    match trace.rsplit_once("Caused by: ").map(|(_, innermost)| message(innermost)) {
        Some(innermost) if innermost != outermost => format!("{outermost}; caused by: {innermost}"),
        _ => outermost,
    }
}

/// All lines before the first frame.
fn message(trace: &str) -> String {
    let frame = |line: &&str| line.starts_with("\tat ") || line.starts_with("\t... ");
    let lines = trace.trim().lines().take_while(|line| !frame(line) && !line.starts_with("Caused by: "));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_cause_is_named_with_all_its_lines() {
        let trace = "a.JobException: Recovery is suppressed\n\tat a.B.c(B.java:1)\nCaused by: b.E: x\n\tat d\n\
                     Caused by: java.io.IOException: no room\nfor more\n\tat e\n\t... 3 more\n";
        let expected =
            "a.JobException: Recovery is suppressed; caused by: java.io.IOException: no room\nfor more";
        assert_eq!(root_cause(trace), expected);
        assert_eq!(root_cause("Not found: /x"), "Not found: /x");
    }
}
