//! The answer of a call: what a stage wants from its driver next, and how much one call may do.

use crate::time::Time;

/// What a stage wants next. The fields can be true together; all false means *done*.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// There is more to do of what was asked: look at barriers, then `resume`; bring no data in between.
    pub more: bool,
    /// Bring no data until a `resume` says otherwise; the waker or the wake-up time will ask for that. While
    /// a barrier is waited for, data comes all the same.
    pub blocked: bool,
    /// Call `resume` at this processing time, earlier calls do no harm. Only `resume` takes a wish back: its
    /// answer replaces all earlier ones, while those of other calls add to them.
    pub wake_at: Option<Time>,
}

impl Step {
    /// Nothing left to do.
    pub const DONE: Self = Self { more: false, blocked: false, wake_at: None };
    /// Call `resume` as soon as barriers are dealt with.
    pub const MORE: Self = Self { more: true, blocked: false, wake_at: None };
    /// No data, please, until woken.
    pub const BLOCKED: Self = Self { more: false, blocked: true, wake_at: None };

    /// Call `resume` at this processing time.
    pub fn wake_at(time: Time) -> Self {
        Self { wake_at: Some(time), ..Self::DONE }
    }

    /// What is wanted when both are wanted.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            more: self.more || other.more,
            blocked: self.blocked || other.blocked,
            wake_at: [self.wake_at, other.wake_at].into_iter().flatten().min(),
        }
    }

    /// Whether what was asked is complete: no *more* and not *blocked*.
    pub fn is_complete(&self) -> bool {
        !self.more && !self.blocked
    }
}

/// How much one `resume` may do before barriers are looked at again.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Records to read or to fire.
    pub records: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { records: 4096 }
    }
}
