//! How the sessions of a key merge, as Flink's `MergingWindowSet`: a new record's window becomes one with all
//! sessions that it touches.

use super::session::table::{Open, Sessions};
use super::{AggregateFunction, Trigger, Window};

/// The window that covers a record's own window and all sessions that it touches.
pub(super) fn merged_window<A, S>(sessions: &[Open<A, S>], single: Window) -> Window {
    let touched = sessions.iter().filter(|session| session.window.intersects(&single));
    touched.fold(single, |all, session| all.cover(&session.window))
}

/// Makes one session of all that the window covers, and answers its place among the key's sessions.
pub(super) fn merge<T, A: AggregateFunction<T>, G: Trigger>(
    sessions: &mut Sessions<A::Acc, G::State>,
    window: Window,
    aggregate: &A,
    trigger: &G,
) -> usize {
    let mut whole =
        Open { window, acc: aggregate.create(), trigger: G::State::default(), asked: (None, None) };
    let mut place = 0;
    while place < sessions.len() {
        if sessions[place].window.intersects(&window) {
            let part = sessions.swap_remove(place);
            aggregate.merge(&mut whole.acc, part.acc);
            trigger.on_merge(&mut whole.trigger, part.trigger);
            whole.asked = if part.window == window { part.asked } else { whole.asked };
        } else {
            place += 1;
        }
    }
    sessions.push(whole);
    sessions.len() - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::{Count, EventTimeTrigger};

    fn session(start: i64, end: i64, acc: u64) -> Open<u64, ()> {
        Open { window: Window { start, end }, acc, trigger: (), asked: (Some(end - 1), None) }
    }

    #[test]
    fn a_window_becomes_one_with_the_sessions_that_it_touches_and_leaves_the_others() {
        let mut sessions = vec![session(0, 10, 1), session(30, 40, 5), session(20, 25, 2)];
        let window = merged_window(&sessions, Window { start: 10, end: 20 });
        assert_eq!(window, Window { start: 0, end: 25 });
        let place = merge::<(), _, _>(&mut sessions, window, &Count, &EventTimeTrigger);
        let merged = &sessions[place];
        assert_eq!((merged.window, merged.acc, merged.asked), (window, 3, (None, None)));
        assert_eq!((sessions.len(), sessions[0].window), (2, Window { start: 30, end: 40 }));
    }

    #[test]
    fn a_session_that_does_not_grow_keeps_the_times_that_its_trigger_asked_for() {
        let mut sessions = vec![session(0, 10, 1)];
        let window = merged_window(&sessions, Window { start: 2, end: 8 });
        let place = merge::<(), _, _>(&mut sessions, window, &Count, &EventTimeTrigger);
        assert_eq!((sessions[place].acc, sessions[place].asked), (1, (Some(9), None)));
    }
}
