//! From a window's accumulator to rows.

use millstream_record::Data;
use millstream_stage::Rows;

use super::Window;

/// Turns the result of one key and window into rows, as Flink's `ProcessWindowFunction` behind an aggregate.
pub trait WindowFunction<K, O, R>: Fn(&K, &Window, O, &mut Vec<R>) + Send + Sync + 'static {}
impl<K, O, R, F: Fn(&K, &Window, O, &mut Vec<R>) + Send + Sync + 'static> WindowFunction<K, O, R> for F {}

/// Appends the rows of a firing; all carry the window's last millisecond as their event time.
pub(super) fn emit<K, O, R: Data>(
    function: &impl WindowFunction<K, O, R>,
    key: &K,
    window: &Window,
    result: O,
    rows: &mut Rows<R>,
) {
    function(key, window, result, &mut rows.rec);
    rows.ts.resize(rows.rec.len(), window.max_timestamp());
}
