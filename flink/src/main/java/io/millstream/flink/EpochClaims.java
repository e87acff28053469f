package io.millstream.flink;

import java.util.concurrent.CompletableFuture;
import org.apache.flink.runtime.operators.coordination.CoordinatorStore;

/**
 * The epoch of the job, claimed in its log and shared by the coordinators of all stages.
 *
 * <p>Every new attempt of subtasks needs an epoch above that of the attempt before it: whatever the older
 * ones still write is refused. So {@link #invalidate()} is called when subtasks are reset, and the next who
 * asks claims anew.
 */
final class EpochClaims {
    private static final String KEY = EpochClaims.class.getName();

    private final byte[] job;
    private CompletableFuture<Long> current;
    private long last;

    private EpochClaims(byte[] job) {
        this.job = job;
    }

    static EpochClaims of(CoordinatorStore store, byte[] job) {
        store.putIfAbsent(KEY, new EpochClaims(job));
        return (EpochClaims) store.get(KEY);
    }

    /** The current epoch, or a new one. Claiming takes a thread of its own: it waits for storage. */
    synchronized CompletableFuture<Long> claim() {
        if (current == null || current.isCompletedExceptionally()) {
            CompletableFuture<Long> claim = new CompletableFuture<>();
            current = claim;
            Thread thread = new Thread(() -> run(claim), "millstream-epoch");
            thread.setDaemon(true);
            thread.start();
        }
        return current;
    }

    synchronized void invalidate() {
        current = null;
    }

    /** A checkpoint knows this epoch: the log may have been lost since, so that it alone would not do. */
    synchronized void atLeast(long epoch) {
        last = Math.max(last, epoch);
    }

    synchronized long last() {
        return last;
    }

    private void run(CompletableFuture<Long> claim) {
        try {
            long epoch = Native.claimEpoch(job, last());
            atLeast(epoch);
            claim.complete(epoch);
        } catch (Throwable e) {
            claim.completeExceptionally(e);
        }
    }
}
