//! Turns a panic of user code into a message that says what it was and where.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;

use millstream_record::Error;

thread_local! {
    static ARMED: Cell<bool> = const { Cell::new(false) };
    static NOTE: RefCell<Option<String>> = const { RefCell::new(None) };
}

static HOOK: Once = Once::new();

/// Runs code; a panic becomes `message, at file:line:column`. The process-wide panic hook stays silent about
/// it.
///
/// # Errors
/// The panic's message and place.
pub fn catch<T>(code: impl FnOnce() -> T) -> Result<T, String> {
    HOOK.call_once(install);
    let before = ARMED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(code));
    ARMED.set(before);
    result.map_err(|payload| NOTE.take().unwrap_or_else(|| message_of(payload.as_ref())))
}

/// Runs code that must not take its thread down.
pub(crate) fn guarded<T>(
    what: &str,
    code: impl FnOnce() -> millstream_record::Result<T>,
) -> millstream_record::Result<T> {
    catch(code).unwrap_or_else(|panic| Err(Error::bug(format!("{what} panicked: {panic}"))))
}

// Only the hook learns the place of a panic. Threads that are not ours keep the hook that was there.
fn install() {
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if ARMED.get() {
            NOTE.set(Some(describe(info)));
        } else {
            previous(info);
        }
    }));
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    let message = message_of(info.payload());
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        tracing::error!("a panic: {message}\n{backtrace}");
    }
    match info.location() {
        Some(place) => format!("{message}, at {place}"),
        None => message,
    }
}

fn message_of(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_keeps_its_message_and_place() {
        let panicked = catch(|| panic!("seven {}", 7)).unwrap_err();
        assert!(panicked.starts_with("seven 7, at "), "{panicked}");
        assert!(panicked.contains("panics.rs:"), "{panicked}");
        assert_eq!(catch(|| 5), Ok(5));
    }
}
