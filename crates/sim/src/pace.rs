//! What a stage has asked for and not yet got.

use millstream_stage::Step;
use millstream_stage::time::Time;

/// The wishes of a stage, kept as [`millstream_stage::stage`] says: those of a `resume` replace all earlier
/// ones, those of other calls add to them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace(Step);

impl Pace {
    /// The answer of any call but `resume`.
    pub fn add(&mut self, step: Step) {
        self.0 = self.0.and(step);
    }

    /// The answer of `resume`.
    pub fn replace(&mut self, step: Step) {
        self.0 = step;
    }

    /// Whether data may be brought: neither *more* nor *blocked*.
    pub fn takes_data(&self) -> bool {
        self.0.is_complete()
    }

    /// Whether `resume` is wanted at once.
    pub fn wants_resume(&self) -> bool {
        self.0.more
    }

    /// When `resume` is wanted.
    pub fn wake_at(&self) -> Option<Time> {
        self.0.wake_at
    }

    /// Whether it stands still until its waker is called or its time has come.
    pub fn is_blocked(&self) -> bool {
        self.0.blocked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_resume_takes_a_wish_back() {
        let mut pace = Pace::default();
        pace.add(Step::wake_at(10));
        pace.add(Step::BLOCKED);
        pace.add(Step::wake_at(20));
        assert_eq!((pace.wake_at(), pace.takes_data(), pace.wants_resume()), (Some(10), false, false));
        pace.replace(Step::wake_at(30));
        assert_eq!((pace.wake_at(), pace.takes_data()), (Some(30), true));
    }
}
