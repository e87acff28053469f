package io.millstream.flink;

import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.apache.flink.api.connector.source.ReaderOutput;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.core.io.InputStatus;

/**
 * Lets Flink's source loop drive the stage behind it: each poll is one call of the stage, which emits through
 * its own output. The reader itself emits nothing and has no state.
 *
 * <p>A poll must not wait. The stage then says that nothing is there, and {@link #signal} brings Flink back.
 */
final class AssignmentReader implements SourceReader<byte[], Assignment>, SplitFeed {
    private final SourceReaderContext context;
    private StageOperator stage;
    private boolean hasRead;
    /** Complete when a poll is worth it. */
    private CompletableFuture<Void> available = CompletableFuture.completedFuture(null);

    AssignmentReader(SourceReaderContext context) {
        this.context = context;
    }

    /** Flink opens the operators of a chain from its end, so the stage is there already. */
    @Override
    public void start() {
        stage = Feed.take(this);
    }

    @Override
    public InputStatus pollNext(ReaderOutput<byte[]> output) {
        if (available.isDone()) {
            available = new CompletableFuture<>();
        }
        StageDriver driver = stage.driver();
        if (!driver.isEnded()) {
            driver.poll();
        }
        if (driver.isEnded()) {
            return ended(driver);
        }
        return driver.wantsMore() ? InputStatus.MORE_AVAILABLE : InputStatus.NOTHING_AVAILABLE;
    }

    /** All subtasks of a source finish together: see {@link SourceEnd}. */
    private InputStatus ended(StageDriver driver) {
        if (!hasRead) {
            hasRead = true;
            stage.hasRead();
        }
        return driver.isFinishAllowed() ? InputStatus.END_OF_INPUT : InputStatus.NOTHING_AVAILABLE;
    }

    @Override
    public CompletableFuture<Void> isAvailable() {
        return available;
    }

    @Override
    public void addSplits(List<Assignment> assignments) {
        assignments.forEach(assignment -> stage.driver().assign(assignment.bytes));
        signal();
    }

    @Override
    public void signal() {
        available.complete(null);
    }

    @Override
    public void requestSplits() {
        context.sendSplitRequest();
    }

    /** The last assignment says so itself. */
    @Override
    public void notifyNoMoreSplits() {}

    /** The stage's state has the splits. */
    @Override
    public List<Assignment> snapshotState(long checkpoint) {
        return List.of();
    }

    @Override
    public void close() {}

    /**
     * Where the stage of a source and the reader in front of it find each other: both are opened by the
     * task's thread, one right after the other.
     */
    static final class Feed implements SplitFeed {
        private static final ThreadLocal<Feed> OFFERED = new ThreadLocal<>();

        private final StageOperator stage;
        private final StageIdentity identity;
        private AssignmentReader reader;

        private Feed(StageOperator stage, StageIdentity identity) {
            this.stage = stage;
            this.identity = identity;
        }

        /** Called by the stage when it opens. */
        static SplitFeed offer(StageOperator stage, StageIdentity identity) {
            Feed feed = new Feed(stage, identity);
            OFFERED.set(feed);
            return feed;
        }

        private static StageOperator take(AssignmentReader reader) {
            Feed feed = OFFERED.get();
            OFFERED.remove();
            if (feed == null) {
                throw new IllegalStateException("The stage of a source must be chained to its reader:"
                        + " pipeline.operator-chaining.enabled must be true.");
            }
            feed.reader = reader;
            return feed.stage;
        }

        @Override
        public void signal() {
            reader().signal();
        }

        @Override
        public void requestSplits() {
            reader().requestSplits();
        }

        private AssignmentReader reader() {
            if (reader == null) {
                throw new IllegalStateException(identity + ": it is not chained to the reader of its source:"
                        + " pipeline.operator-chaining.enabled must be true.");
            }
            return reader;
        }
    }
}
