//! Runs futures in one thread, in an order that a seed chooses.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use millstream_stage::io::{BoxFuture, Io};
use millstream_stage::time::{Clock, Nanos, nanos};
use parking_lot::{Mutex, MutexGuard};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::clock::VirtualClock;

type TaskId = u64;

/// The simulation's [`Io`]: futures run when [`step`](Self::step) is called, blocking calls at a later step
/// of their own, and sleeping ends when the clock has been moved that far.
pub struct Executor {
    clock: Arc<VirtualClock>,
    state: Mutex<State>,
    me: Weak<Self>,
}

struct State {
    chance: ChaCha8Rng,
    next_id: u64,
    tasks: BTreeMap<TaskId, BoxFuture<()>>,
    ready: Vec<Work>,
    sleepers: BTreeMap<(Nanos, u64), Waker>,
}

enum Work {
    Poll(TaskId),
    Block(Box<dyn FnOnce() + Send>),
}

impl Executor {
    /// An executor under a clock; the seed chooses what runs next.
    pub fn new(clock: Arc<VirtualClock>, seed: u64) -> Arc<Self> {
        let state = State {
            chance: ChaCha8Rng::seed_from_u64(seed),
            next_id: 0,
            tasks: BTreeMap::new(),
            ready: Vec::new(),
            sleepers: BTreeMap::new(),
        };
        Arc::new_cyclic(|me| Self { clock, state: Mutex::new(state), me: Weak::clone(me) })
    }

    /// Polls one future that is ready, or makes one blocking call; false when there is none.
    pub fn step(&self) -> bool {
        let Some(work) = self.take_work() else {
            return false;
        };
        // Whoever waits for a task that panicked learns it from the drop of its future.
        match work {
            Work::Block(call) => drop(catch_unwind(AssertUnwindSafe(call))),
            Work::Poll(id) => self.poll(id),
        }
        true
    }

    /// Whether [`step`](Self::step) would do anything.
    pub fn has_work(&self) -> bool {
        !self.lock().ready.is_empty()
    }

    /// When the first sleeper wants to be woken.
    pub fn next_wake(&self) -> Option<Nanos> {
        self.lock().sleepers.keys().next().map(|(at, _)| *at)
    }

    /// Wakes every sleeper whose time has come.
    pub fn wake_sleepers(&self) {
        let now = self.clock.nanos();
        let mut state = self.lock();
        let later = state.sleepers.split_off(&(now + 1, 0));
        let due = std::mem::replace(&mut state.sleepers, later);
        drop(state);
        due.into_values().for_each(Waker::wake);
    }

    /// Drops everything that is in flight, as the death of the process would.
    pub fn abandon(&self) {
        let mut state = self.lock();
        let tasks = std::mem::take(&mut state.tasks);
        let ready = std::mem::take(&mut state.ready);
        state.sleepers.clear();
        // Futures may touch the executor when they are dropped.
        drop(state);
        drop((tasks, ready));
    }

    fn take_work(&self) -> Option<Work> {
        let mut state = self.lock();
        if state.ready.is_empty() {
            return None;
        }
        let count = state.ready.len();
        let index = state.chance.random_range(0..count);
        Some(state.ready.swap_remove(index))
    }

    fn poll(&self, id: TaskId) {
        let Some(mut task) = self.lock().tasks.remove(&id) else {
            return;
        };
        let waker = Waker::from(Arc::new(TaskWaker { id, executor: Weak::clone(&self.me) }));
        let polled = catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(&mut Context::from_waker(&waker))));
        if let Ok(Poll::Pending) = polled {
            self.lock().tasks.insert(id, task);
        }
    }

    fn make_ready(&self, id: TaskId) {
        let mut state = self.lock();
        let known = state.ready.iter().any(|work| matches!(work, Work::Poll(other) if *other == id));
        if !known {
            state.ready.push(Work::Poll(id));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

impl Io for Executor {
    fn spawn(&self, task: BoxFuture<()>) {
        let mut state = self.lock();
        let id = state.fresh_id();
        state.tasks.insert(id, task);
        state.ready.push(Work::Poll(id));
    }

    fn spawn_blocking(&self, task: Box<dyn FnOnce() + Send>) {
        self.lock().ready.push(Work::Block(task));
    }

    fn sleep(&self, time: Duration) -> BoxFuture<()> {
        let until = self.clock.nanos().saturating_add(nanos(time));
        Box::pin(Sleep { until, executor: Weak::clone(&self.me) })
    }
}

struct TaskWaker {
    id: TaskId,
    executor: Weak<Executor>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if let Some(executor) = self.executor.upgrade() {
            executor.make_ready(self.id);
        }
    }
}

struct Sleep {
    until: Nanos,
    executor: Weak<Executor>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(executor) = self.executor.upgrade() else {
            return Poll::Pending;
        };
        if executor.clock.nanos() >= self.until {
            return Poll::Ready(());
        }
        let mut state = executor.lock();
        let id = state.fresh_id();
        state.sleepers.insert((self.until, id), cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(executor: &Executor, clock: &VirtualClock) {
        loop {
            while executor.step() {}
            let Some(next) = executor.next_wake() else { return };
            clock.advance_to(next);
            executor.wake_sleepers();
        }
    }

    fn order_of(seed: u64) -> Vec<u64> {
        let clock = Arc::new(VirtualClock::at(0));
        let executor = Executor::new(Arc::clone(&clock), seed);
        let order = Arc::new(Mutex::new(Vec::new()));
        for number in 0..20 {
            let (order, sleep) = (Arc::clone(&order), executor.sleep(Duration::from_millis(number / 5)));
            executor.spawn(Box::pin(async move {
                sleep.await;
                order.lock().push(number);
            }));
        }
        run(&executor, &clock);
        Arc::into_inner(order).unwrap().into_inner()
    }

    #[test]
    fn the_seed_alone_chooses_the_order_and_time_bounds_it() {
        assert_eq!(order_of(1), order_of(1));
        assert_ne!(order_of(1), order_of(2));
        let groups: Vec<_> = order_of(3).iter().map(|number| number / 5).collect();
        assert!(groups.is_sorted(), "no one wakes before their time: {groups:?}");
    }

    #[test]
    fn a_panic_ends_its_task_alone() {
        let clock = Arc::new(VirtualClock::at(0));
        let executor = Executor::new(Arc::clone(&clock), 0);
        let mut completions = millstream_stage::io::Completions::default();
        completions.spawn(executor.as_ref(), Waker::noop(), async { panic!("on purpose") });
        completions.spawn_blocking(executor.as_ref(), Waker::noop(), || panic!("on purpose"));
        run(&executor, &clock);
        assert!(completions.drain().unwrap_err().to_string().contains("panicked"));
        assert_eq!(completions.in_flight(), 0);
    }
}
