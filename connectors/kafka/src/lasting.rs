//! A state that is worth a line in the log when it has lasted for a while, and another one when it is over.

use millstream_stage::time::Time;

/// Such a state.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lasting {
    since: Option<Time>,
    said: bool,
}

/// What is to be said about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Nothing new.
    None,
    /// It has lasted for long enough.
    Lasts,
    /// It is over, and was spoken of.
    Over,
}

impl Lasting {
    /// Says whether it holds now. Each spell that lasts for `patience` is reported once, and so is its end.
    pub(crate) fn look(&mut self, now: Time, holds: bool, patience: Time) -> News {
        if !holds {
            self.since = None;
            return if std::mem::take(&mut self.said) { News::Over } else { News::None };
        }
        let since = *self.since.get_or_insert(now);
        if self.said || now.saturating_sub(since) < patience {
            return News::None;
        }
        self.said = true;
        News::Lasts
    }
}

/// Reminds of trouble that goes on, but not each time that it is met.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reminder {
    said_at: Option<Time>,
}

impl Reminder {
    /// Whether to speak of it now: at first, and then once per minute.
    pub(crate) fn is_due(&mut self, now: Time) -> bool {
        let due = self.said_at.is_none_or(|at| now.saturating_sub(at) >= 60_000);
        if due {
            self.said_at = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_once_per_minute() {
        let mut reminder = Reminder::default();
        assert_eq!(
            [0, 1, 59_999, 60_000, 60_001].map(|now| reminder.is_due(now)),
            [true, false, false, true, false]
        );
    }

    #[test]
    fn a_spell_is_told_once_and_so_is_its_end() {
        let mut lasting = Lasting::default();
        let looks = [(0, true), (9, true), (10, true), (20, true), (21, false), (22, false), (30, true)];
        let reported = looks.map(|(now, holds)| lasting.look(now, holds, 10));
        assert_eq!(
            reported,
            [News::None, News::None, News::Lasts, News::None, News::Over, News::None, News::None]
        );
        assert_eq!(lasting.look(40, true, 10), News::Lasts, "a new spell");
    }
}
