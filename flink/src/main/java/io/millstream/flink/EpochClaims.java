package io.millstream.flink;

import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import org.apache.flink.runtime.operators.coordination.CoordinatorStore;

/**
 * The epoch of the job, claimed in its log and shared by the coordinators of all stages.
 *
 * <p>Every new attempt of subtasks needs an epoch above that of the attempt before it: whatever the older
 * ones still write is refused. So {@link #invalidate()} is called when subtasks are reset, and the next who
 * asks claims anew. Where another job of the same name has begun meanwhile, that claim is refused: of two jobs
 * the older one gives way.
 */
final class EpochClaims {
    private static final String KEY = EpochClaims.class.getName();

    private final byte[] job;
    /** Tells these claims from those of other jobs of the same name, in the job's log. */
    private final String claimant = UUID.randomUUID().toString().replace("-", "");
    private CompletableFuture<Long> current;
    private boolean claimed;
    private long last;

    private EpochClaims(byte[] job) {
        this.job = job;
    }

    static EpochClaims of(CoordinatorStore store, byte[] job) {
        store.putIfAbsent(KEY, new EpochClaims(job));
        return (EpochClaims) store.get(KEY);
    }

    /**
     * The current epoch, or a new one. Claiming takes a thread of its own: it waits for storage. Of all who
     * wait for a claim that fails one is told: each failure counts for the job's restart strategy.
     */
    synchronized CompletableFuture<Long> claim(Consumer<Throwable> failure) {
        if (current == null || current.isCompletedExceptionally()) {
            CompletableFuture<Long> claim = new CompletableFuture<>();
            current = claim;
            Thread thread = new Thread(() -> run(claim, failure), "millstream-epoch");
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

    private synchronized boolean hasClaimed() {
        return claimed;
    }

    private synchronized void hasClaimed(long epoch) {
        claimed = true;
        atLeast(epoch);
    }

    synchronized long last() {
        return last;
    }

    /** Whether nobody has been reset since, who claims for himself. */
    private synchronized boolean isCurrent(CompletableFuture<Long> claim) {
        return current == claim;
    }

    private void run(CompletableFuture<Long> claim, Consumer<Throwable> failure) {
        try {
            NativeLibrary.load();
            long epoch = Native.claimEpoch(job, claimant, hasClaimed(), last());
            hasClaimed(epoch);
            claim.complete(epoch);
        } catch (Throwable e) {
            claim.completeExceptionally(e);
            if (isCurrent(claim)) {
                failure.accept(e);
            }
        }
    }
}
