package io.millstream.flink;

import java.util.concurrent.RejectedExecutionException;
import org.apache.flink.api.common.operators.MailboxExecutor;
import org.apache.flink.streaming.api.operators.StreamOperatorParameters;
import org.apache.flink.streaming.runtime.tasks.ProcessingTimeService;
import org.apache.flink.streaming.runtime.tasks.StreamTask;
import org.apache.flink.streaming.runtime.tasks.mailbox.TaskMailbox;
import org.apache.flink.util.FlinkRuntimeException;
import org.apache.flink.util.function.ThrowingRunnable;

/**
 * The task's mailbox, seen from one operator.
 *
 * <p>There are two views. An operator's own executor runs its wake-ups and timers and notifications of
 * checkpoints. Events of coordinators have a lower priority and only run through the executor that takes all
 * mails. A stage that waits inside {@code prepare} must not use the latter: the mail that triggers the next
 * checkpoint would run inside this one.
 */
final class TaskMailboxes {
    private static final long PAUSE_MILLIS = 10;

    private final MailboxExecutor own;
    private final MailboxExecutor all;
    private final ProcessingTimeService time;

    TaskMailboxes(StreamOperatorParameters<byte[]> parameters) {
        StreamTask<?, ?> task = parameters.getContainingTask();
        own = parameters.getMailboxExecutor();
        all = task.getMailboxExecutorFactory().createExecutor(TaskMailbox.MIN_PRIORITY);
        // An operator's own time service falls silent before finish(), but a stage still waits for time
        // there.
        time = task.getProcessingTimeServiceFactory().createProcessingTimeService(own);
    }

    ProcessingTimeService time() {
        return time;
    }

    /** Leaves a mail; any thread. A task that has ended needs no mails. */
    void execute(ThrowingRunnable<? extends Exception> mail, String description) {
        try {
            own.execute(mail, description);
        } catch (RejectedExecutionException e) {
            return;
        }
    }

    /** Runs one mail if there is one. */
    void runOne() {
        own.tryYield();
    }

    /** Waits for a mail of the operator and runs it. */
    void waitForOwn() {
        waitFor(own);
    }

    /** Waits for any mail, also for a coordinator's event, and runs it. */
    void waitForAny() {
        waitFor(all);
    }

    /** Waits a little while, for a stage that nobody can wake any more. */
    void pause() {
        try {
            Thread.sleep(PAUSE_MILLIS);
        } catch (InterruptedException e) {
            throw cancelled(e);
        }
    }

    private static void waitFor(MailboxExecutor mailbox) {
        try {
            mailbox.yield();
        } catch (InterruptedException e) {
            throw cancelled(e);
        }
    }

    private static FlinkRuntimeException cancelled(InterruptedException e) {
        Thread.currentThread().interrupt();
        return new FlinkRuntimeException("The task was cancelled while its stage waited.", e);
    }
}
