package io.millstream.flink;

import java.util.concurrent.ScheduledFuture;
import org.apache.flink.streaming.runtime.tasks.ProcessingTimeService;

/**
 * One alarm, set again and again.
 *
 * <p>A stage tells with each call when it wants to be resumed, thousands of times a second. A timer that is
 * already set for an earlier time is left alone: when it rings, it is set again if the time has moved.
 */
final class WakeTimer {
    private final ProcessingTimeService time;
    private final Runnable alarm;
    private long wanted = CallResult.NEVER;
    private long set = CallResult.NEVER;
    private ScheduledFuture<?> timer;

    WakeTimer(ProcessingTimeService time, Runnable alarm) {
        this.time = time;
        this.alarm = alarm;
    }

    void wakeAt(long millis) {
        wanted = millis;
        if (wanted < set) {
            cancel();
            set(wanted);
        }
    }

    void cancel() {
        if (timer != null) {
            timer.cancel(false);
            timer = null;
            set = CallResult.NEVER;
        }
    }

    private void set(long millis) {
        set = millis;
        timer = time.registerTimer(millis, now -> ring());
    }

    private void ring() {
        timer = null;
        set = CallResult.NEVER;
        if (wanted > time.getCurrentProcessingTime()) {
            wakeAt(wanted);
        } else {
            wanted = CallResult.NEVER;
            alarm.run();
        }
    }
}
