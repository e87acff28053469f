//! Which JobManager leads, by what each one's log says of elections.

/// When the leadership that a log ends with began; `None` if it does not lead.
///
/// Times at the beginning of lines have a fixed width, so they compare as text.
pub(crate) fn leading_since(log: &str) -> Option<&str> {
    let election =
        |line: &&str| line.contains("Resource manager service is ") && line.contains(" leadership ");
    let last = log.lines().rfind(election)?;
    last.contains(" granted ").then(|| last.get(..23)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_granted_leadership_last_leads_until_it_is_revoked() {
        let granted = "2026-01-02 03:04:05,006 INFO  X Resource manager service is granted leadership with \
                       session id 7\n";
        let revoked = "2026-01-02 03:04:06,006 INFO  X Resource manager service is revoked leadership with \
                       session id 7\n";
        assert_eq!(leading_since(granted), Some("2026-01-02 03:04:05,006"));
        assert_eq!(leading_since(&format!("{granted}{revoked}")), None);
        assert_eq!(
            leading_since(&format!("{granted}{revoked}{granted}2026 other\n")),
            leading_since(granted)
        );
        assert_eq!(leading_since(""), None);
    }
}
