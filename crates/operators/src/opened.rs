//! What an operator has between `open` and `close`.

use millstream_record::{Error, Result};

/// A part of an operator, a source or a sink that `open` makes and `close` drops.
pub(crate) struct Opened<T>(Option<T>);

impl<T> Default for Opened<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Opened<T> {
    pub(crate) fn open(&mut self, part: T) {
        self.0 = Some(part);
    }

    pub(crate) fn close(&mut self) {
        self.0 = None;
    }

    /// # Errors
    /// [`ErrorKind::Bug`](millstream_record::ErrorKind::Bug) before `open` and after `close`.
    pub(crate) fn get(&self) -> Result<&T> {
        self.0.as_ref().ok_or_else(not_open)
    }

    /// # Errors
    /// As [`get`](Self::get).
    pub(crate) fn get_mut(&mut self) -> Result<&mut T> {
        self.0.as_mut().ok_or_else(not_open)
    }

    /// For calls that a driver may make at any time.
    pub(crate) fn if_open(&mut self) -> Option<&mut T> {
        self.0.as_mut()
    }
}

fn not_open() -> Error {
    Error::bug("an operator was used before it was opened or after it was closed")
}
