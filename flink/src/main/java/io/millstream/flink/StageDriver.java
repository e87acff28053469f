package io.millstream.flink;

import org.apache.flink.api.common.operators.MailboxExecutor;

/**
 * Makes the calls of one native stage, on the task's thread, and does what its answers ask for.
 *
 * <p>While the stage wants no data, the driver stays in {@link #runUntilReady()} and lets the mailbox work:
 * wake-ups, timers and notifications come as mails and make calls of their own. That is safe because mails
 * only run where no native call is on the stack. A mail that finds such a loop below it leaves the rest to
 * that loop.
 */
final class StageDriver {
    private final long handle;
    private final StageIdentity identity;
    private final StageEmitter emitter;
    private final TaskMailboxes mailboxes;
    private final WakeTimer timer;
    private final CheckpointWatch checkpoints;
    /** Null but for a source. */
    private final SplitFeed feed;

    private int flags;
    /** Whether a loop of this driver is on the stack. */
    private boolean looping;
    /**
     * Whether a wake-up was answered by a signal to Flink alone. Native threads wake the stage once until it is
     * resumed, and Flink polls a source later, or never again when the job stops: who waits must resume first.
     */
    private boolean owesResume;
    private boolean ended;
    /** Whether Flink has finished the stage. A source ends earlier: it waits for its other subtasks. */
    private boolean finished;
    /** The first checkpoint that was prepared after that: it and later ones may be the last. */
    private long firstAfterFinish = Long.MAX_VALUE;
    /** Whether a source may finish: all its subtasks have read everything. */
    private boolean finishAllowed;
    /** The task may leave after this checkpoint or a later one. */
    private long lastCheckpoint;
    /** Whether the task waits, within the word of a checkpoint that came too early, for its last one. */
    private boolean staying;
    /**
     * Whether nothing is left to commit. The task leaves, and works off its last mails, such as one for one more
     * checkpoint, when its mailbox takes no wake-ups any more: nothing may wait for one.
     */
    private boolean settled;

    StageDriver(
            long handle,
            StageIdentity identity,
            StageEmitter emitter,
            TaskMailboxes mailboxes,
            CheckpointWatch checkpoints,
            SplitFeed feed) {
        this.handle = handle;
        this.identity = identity;
        this.emitter = emitter;
        this.mailboxes = mailboxes;
        this.timer = new WakeTimer(mailboxes.time(), this::resume);
        this.checkpoints = checkpoints;
        this.feed = feed;
        this.lastCheckpoint = feed == null ? 0 : Long.MAX_VALUE;
    }

    boolean isEnded() {
        return ended;
    }

    boolean wantsMore() {
        return is(CallResult.MORE);
    }

    void element(int input, byte[] data) {
        call(CallKind.ELEMENT, input, data);
        runUntilReady();
    }

    void endInput(int input) {
        call(CallKind.END_INPUT, input, null);
        runUntilReady();
    }

    void assign(byte[] assignment) {
        call(CallKind.ASSIGN, 0, assignment);
        carryOn();
    }

    /** Reads a source once. */
    void poll() {
        call(CallKind.RESUME, 0, null);
    }

    /** A wake-up, or the time that the stage wanted to be woken at. */
    void resume() {
        if (feed != null && !looping) {
            owesResume = true;
            feed.signal();
            return;
        }
        call(CallKind.RESUME, 0, null);
        runUntilReady();
    }

    /** See {@link CheckpointWatch}. */
    void checkpointBegins(long checkpoint) {
        call(CallKind.TRIGGER, checkpoint, null);
        carryOn();
    }

    /** Returns when the state for this checkpoint is frozen. */
    void prepare(long checkpoint) {
        checkpoints.hasSeen(checkpoint);
        if (finished) {
            firstAfterFinish = Math.min(firstAfterFinish, checkpoint);
        }
        askUntil(CallResult.PREPARED, CallKind.PREPARE, CallKind.PREPARE, checkpoint);
    }

    boolean isFinishAllowed() {
        return finishAllowed;
    }

    /** See {@link SourceEnd}. */
    void mayFinish() {
        finishAllowed = true;
        feed.signal();
    }

    /** See {@link SourceEnd}. */
    void mayLeaveAfter(long checkpoint) {
        lastCheckpoint = checkpoint;
    }

    void completed(long checkpoint, boolean stopsTheJob) {
        if (settled) {
            return;
        }
        if (stopsTheJob || checkpoint >= Math.max(firstAfterFinish, lastCheckpoint)) {
            askUntil(CallResult.SETTLED, CallKind.COMPLETED_LAST, CallKind.SETTLE, checkpoint);
            settled = true;
            return;
        }
        call(CallKind.COMPLETED, checkpoint, null);
        carryOn();
        if (checkpoint >= firstAfterFinish) {
            stay();
        }
    }

    /**
     * Flink lets the task leave when the word of this checkpoint has been taken. So it is taken until the
     * last one has come; the mails of checkpoints in between run here.
     */
    private void stay() {
        if (staying) {
            return;
        }
        staying = true;
        while (!settled) {
            mailboxes.waitForAny();
        }
    }

    void aborted(long checkpoint) {
        checkpoints.isGivenUp(checkpoint);
        call(CallKind.ABORTED, checkpoint, null);
        carryOn();
    }

    /** Returns when everything is flushed. All inputs have ended; a source is told to drain. */
    void finish() {
        if (feed != null && !ended) {
            call(CallKind.STOP, CallKind.DRAIN, null);
        }
        loop(() -> {
            while (!ended) {
                resumeOrWait();
            }
        });
        finished = true;
    }

    /** Makes sure that the stage is resumed, in a mail of its own. */
    void resumeSoon() {
        mailboxes.execute(this::resume, "resume stage");
    }

    FrozenStage takeFrozen(long checkpoint) {
        return identity.explain(() -> new FrozenStage(Native.takeFrozen(handle, checkpoint), identity));
    }

    byte[] metrics() {
        return Native.metrics(handle);
    }

    void close() {
        timer.cancel();
        Native.closeStage(handle);
    }

    /**
     * After a call from a mail: a source is read again by Flink, others work off here what they want to do.
     */
    private void carryOn() {
        if (feed == null) {
            runUntilReady();
        } else if (wantsMore()) {
            feed.signal();
        }
    }

    private void runUntilReady() {
        if (looping) {
            return;
        }
        loop(() -> {
            // A stage that has ended gets no data, so that it says BLOCKED means nothing.
            while (!ended && !settled && is(CallResult.MORE | CallResult.BLOCKED)) {
                if (is(CallResult.MORE)) {
                    mailboxes.runOne();
                    call(CallKind.RESUME, 0, null);
                } else {
                    checkpoints.ask();
                    mailboxes.waitForAny();
                }
            }
        });
    }

    private void askUntil(int flag, int firstKind, int laterKind, long checkpoint) {
        call(firstKind, checkpoint, null);
        loop(() -> {
            while (!is(flag)) {
                resumeOrWait();
                if (!is(flag)) {
                    call(laterKind, checkpoint, null);
                }
            }
        });
    }

    private void resumeOrWait() {
        if (!is(CallResult.MORE) && !owesResume) {
            if (!settled) {
                mailboxes.waitForOwn();
                return;
            }
            mailboxes.pause();
        }
        call(CallKind.RESUME, 0, null);
    }

    private void loop(Runnable body) {
        boolean outer = looping;
        looping = true;
        try {
            body.run();
        } finally {
            looping = outer;
        }
    }

    private boolean is(int flag) {
        return (flags & flag) != 0;
    }

    private void call(int kind, long argument, byte[] data) {
        owesResume &= kind != CallKind.RESUME;
        CallResult result = identity.explain(() -> new CallResult(Native.call(handle, kind, argument, data)));
        flags = result.flags;
        ended |= is(CallResult.ENDED);
        result.emitTo(emitter);
        timer.wakeAt(result.wakeAt);
        if (is(CallResult.READY)) {
            feed.requestSplits();
        }
    }
}
