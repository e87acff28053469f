//! Wakes the harness when a future of the stage has ended: once until the next resume.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task;

use parking_lot::Mutex;

/// Calls the harness.
pub(crate) type Callback = Box<dyn Fn() + Send + Sync>;

/// Behind the stage's waker.
pub(crate) struct Wake {
    asked: AtomicBool,
    callback: Mutex<Option<Arc<Callback>>>,
}

impl Wake {
    pub(crate) fn new(callback: Callback) -> Arc<Self> {
        Arc::new(Self { asked: AtomicBool::new(false), callback: Mutex::new(Some(Arc::new(callback))) })
    }

    /// The stage is about to be resumed: whatever happens from now on asks for another one.
    pub(crate) fn rearm(&self) {
        self.asked.store(false, SeqCst);
    }

    /// Wakers that outlive the subtask do nothing.
    pub(crate) fn forget(&self) {
        self.callback.lock().take();
    }
}

impl task::Wake for Wake {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.asked.swap(true, SeqCst) {
            return;
        }
        let callback = self.callback.lock().clone();
        if let Some(callback) = callback {
            callback();
        }
    }
}
