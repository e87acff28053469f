package io.millstream.flink;

/**
 * Called by native threads when a stage has something to do; the call only leaves a note for the task's
 * thread.
 */
public interface Waker {
    void wake();
}
