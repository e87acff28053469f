package io.millstream.flink;

/** What a stage is called for; the numbers are the native side's. */
final class CallKind {
    /** Argument: the input; data: the element. */
    static final int ELEMENT = 0;
    /** Timers, reads of a source, the rest of what was cut off. */
    static final int RESUME = 1;
    /** Argument: the checkpoint. It has begun somewhere; its barrier is on the way. */
    static final int TRIGGER = 2;
    /** Argument: the checkpoint. Its barrier has come on every input. */
    static final int PREPARE = 3;
    /** Argument: the checkpoint. */
    static final int COMPLETED = 4;
    /** Argument: the checkpoint. It is the last one of this subtask. */
    static final int COMPLETED_LAST = 5;
    /** Argument: the checkpoint. */
    static final int ABORTED = 6;
    /** Argument: the input. Flink says that all its channels have ended. */
    static final int END_INPUT = 7;
    /** Data: an assignment of splits. */
    static final int ASSIGN = 8;
    /** Argument: {@link #DRAIN}. Read no more, and flush everything. */
    static final int STOP = 9;
    /** Argument: the checkpoint. Asks again whether the commit of the last checkpoint is done. */
    static final int SETTLE = 10;

    /** Of {@link #STOP}: event time ends too. */
    static final long DRAIN = 0;

    private CallKind() {}
}
