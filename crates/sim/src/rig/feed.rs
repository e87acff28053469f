//! What a rig is fed with.

use millstream_stage::WatermarkEvent;
use millstream_stage::stage::{End, InputId};
use millstream_stage::time::Time;

/// One thing that happens to the operator.
#[derive(Clone, Debug)]
pub enum Feed<A, B = ()> {
    /// A record of the first input, with its event time.
    First(A, Time),
    /// A record of the second input, with its event time.
    Second(B, Time),
    /// Progress of event time, on one input or on all.
    Watermark(Option<InputId>, WatermarkEvent),
    /// The clock moves on to this processing time. It stands at 0 before.
    Now(Time),
    /// Nothing more comes, on one input or on all.
    End(Option<InputId>, End),
}

/// A record with its event time, on the first input.
pub fn event<A, B>(record: A, ts: Time) -> Feed<A, B> {
    Feed::First(record, ts)
}

/// A record with its event time, on the second input.
pub fn second<A, B>(record: B, ts: Time) -> Feed<A, B> {
    Feed::Second(record, ts)
}

/// A watermark on every input.
pub fn watermark<A, B>(time: Time) -> Feed<A, B> {
    Feed::Watermark(None, WatermarkEvent::Watermark(time))
}

/// A watermark on one input.
pub fn watermark_on<A, B>(input: InputId, time: Time) -> Feed<A, B> {
    Feed::Watermark(Some(input), WatermarkEvent::Watermark(time))
}

/// Every input turns idle.
pub fn idle<A, B>() -> Feed<A, B> {
    Feed::Watermark(None, WatermarkEvent::Idle)
}

/// One input turns idle.
pub fn idle_on<A, B>(input: InputId) -> Feed<A, B> {
    Feed::Watermark(Some(input), WatermarkEvent::Idle)
}

/// Every input flows again.
pub fn active<A, B>() -> Feed<A, B> {
    Feed::Watermark(None, WatermarkEvent::Active)
}

/// One input flows again.
pub fn active_on<A, B>(input: InputId) -> Feed<A, B> {
    Feed::Watermark(Some(input), WatermarkEvent::Active)
}

/// The clock moves on to this processing time.
pub fn processing_time<A, B>(now: Time) -> Feed<A, B> {
    Feed::Now(now)
}

/// All inputs were read to their end: event time ends too.
pub fn end<A, B>() -> Feed<A, B> {
    Feed::End(None, End::Finished)
}

/// One input was read to its end.
pub fn end_on<A, B>(input: InputId) -> Feed<A, B> {
    Feed::End(Some(input), End::Finished)
}

/// The job is stopped: open windows stay open.
pub fn stop<A, B>() -> Feed<A, B> {
    Feed::End(None, End::Stopped)
}
