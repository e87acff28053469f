//! Wakes a subtask when a client has something for it.

use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::task::Waker;

use rdkafka::bindings as sys;

/// A queue of a client, with a callback that wakes a subtask when it is no longer empty.
pub(crate) struct WakingQueue {
    queue: NonNull<sys::rd_kafka_queue_t>,
    // librdkafka holds its address.
    _waker: Box<Waker>,
}

// SAFETY: librdkafka locks its queues; the waker is `Send` and `Sync`.
unsafe impl Send for WakingQueue {}
// SAFETY: as above.
unsafe impl Sync for WakingQueue {}

unsafe extern "C" fn wake(_: *mut sys::rd_kafka_t, waker: *mut c_void) {
    // SAFETY: the address of the waker in `WakingQueue`, which takes the callback back before it lets the
    // waker go.
    unsafe { &*waker.cast::<Waker>() }.wake_by_ref();
}

impl WakingQueue {
    /// Takes over a queue.
    pub(crate) fn new(queue: *mut sys::rd_kafka_queue_t, waker: &Waker) -> Self {
        let queue = NonNull::new(queue).expect("librdkafka makes queues or aborts");
        let mut waker = Box::new(waker.clone());
        // SAFETY: the queue is alive, and the boxed waker stays where it is until `drop`.
        unsafe {
            sys::rd_kafka_queue_cb_event_enable(
                queue.as_ptr(),
                Some(wake),
                ptr::from_mut(&mut *waker).cast(),
            );
        }
        Self { queue, _waker: waker }
    }

    /// The queue of a client's own events, not of messages. It must go before the client does.
    pub(crate) fn of_events(client: *mut sys::rd_kafka_t, waker: &Waker) -> Self {
        // SAFETY: the client is alive.
        Self::new(unsafe { sys::rd_kafka_queue_get_main(client) }, waker)
    }

    /// The queue itself.
    pub(crate) fn as_ptr(&self) -> *mut sys::rd_kafka_queue_t {
        self.queue.as_ptr()
    }

    /// How many entries wait in it.
    pub(crate) fn len(&self) -> usize {
        // SAFETY: the queue is alive.
        unsafe { sys::rd_kafka_queue_length(self.queue.as_ptr()) }
    }
}

impl Drop for WakingQueue {
    fn drop(&mut self) {
        // SAFETY: the queue is alive; taking the callback back waits for one that is running.
        unsafe {
            sys::rd_kafka_queue_cb_event_enable(self.queue.as_ptr(), None, ptr::null_mut());
            sys::rd_kafka_queue_destroy(self.queue.as_ptr());
        }
    }
}
