package io.millstream.flink;

import java.io.File;
import java.util.List;
import org.apache.flink.runtime.checkpoint.CheckpointOptions;
import org.apache.flink.runtime.checkpoint.SavepointType;
import org.apache.flink.runtime.checkpoint.SnapshotType;
import org.apache.flink.runtime.operators.coordination.OperatorEvent;
import org.apache.flink.runtime.operators.coordination.OperatorEventGateway;
import org.apache.flink.runtime.operators.coordination.OperatorEventHandler;
import org.apache.flink.runtime.state.CheckpointStreamFactory;
import org.apache.flink.runtime.state.StateInitializationContext;
import org.apache.flink.streaming.api.operators.AbstractStreamOperatorV2;
import org.apache.flink.streaming.api.operators.OperatorSnapshotFutures;
import org.apache.flink.streaming.api.operators.StreamOperatorParameters;
import org.apache.flink.streaming.runtime.streamrecord.LatencyMarker;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;

/**
 * One native stage as a Flink operator: the life of its {@link StageDriver}, and its state in Flink's
 * snapshots.
 *
 * <p>A checkpoint goes through three of Flink's calls on the task's thread. {@link
 * #prepareSnapshotPreBarrier} lets the stage emit and freeze; the barrier goes on; {@link #snapshotState}
 * hands the frozen state to Flink's backends, which write it on another thread.
 */
abstract class StageOperator extends AbstractStreamOperatorV2<byte[]> implements OperatorEventHandler {
    protected final StageSpec spec;
    private final TaskLayout layout;
    private final TaskMailboxes mailboxes;
    private final StageIdentity identity;
    private final OperatorEventGateway coordinator;
    private final StageLists lists = new StageLists();

    private boolean restored;
    private LocalDirectory directory;
    /** Null before {@link #open} and after {@link #close}. */
    private StageDriver driver;
    private StageMetrics stageMetrics;
    private long savepointThatStopsTheJob = Long.MAX_VALUE;

    StageOperator(StreamOperatorParameters<byte[]> parameters, StageSpec spec) {
        super(parameters, Math.max(1, spec.inEdges.size()));
        this.spec = spec;
        this.coordinator = parameters.getOperatorEventDispatcher().getOperatorEventGateway(getOperatorID());
        this.layout = new TaskLayout(parameters.getContainingTask(), spec);
        this.mailboxes = new TaskMailboxes(parameters);
        this.identity = new StageIdentity(spec.name, layout.taskInfo());
    }

    @Override
    public void initializeState(StateInitializationContext context) throws Exception {
        restored = context.isRestored();
        lists.initialize(getOperatorStateBackend(), spec.source);
    }

    @Override
    public void open() throws Exception {
        super.open();
        NativeLibrary.load();
        directory = LocalDirectory.create(layout.environment(), spec);
        long epoch = EpochRequest.ask(layout.environment(), getOperatorID());
        List<RestoredHandle> handles = restoredHandles(directory.path());
        byte[] request = StageRequest.of(spec, layout, epoch, directory.path(), restored, lists, handles);
        SplitFeed feed = spec.source ? AssignmentReader.Feed.offer(this, identity) : null;
        long handle = identity.explain(() -> Native.openStage(spec.job, request, this::wake));
        StageEmitter emitter = new StageEmitter(output, spec, layout.routes());
        driver = new StageDriver(handle, identity, emitter, mailboxes, checkpointWatch(), feed);
        lists.forget();
        stageMetrics = new StageMetrics(
                getMetricGroup(), layout.environment().getMetricGroup().getIOMetricGroup(), driver, mailboxes.time());
        driver.resumeSoon();
    }

    private CheckpointWatch checkpointWatch() {
        return new CheckpointWatch(layout.environment(), getOperatorID(), mailboxes, checkpoint -> {
            if (driver != null) {
                driver.checkpointBegins(checkpoint);
            }
        });
    }

    private List<RestoredHandle> restoredHandles(File folder) throws Exception {
        MillstreamKeyedStateBackend<?> backend = keyedBackend();
        return backend == null ? List.of() : backend.download(folder);
    }

    /** The keyed state backend of a stage that has keyed state. */
    private MillstreamKeyedStateBackend<?> keyedBackend() {
        if (!spec.keyed) {
            return null;
        }
        if (getKeyedStateBackend() instanceof MillstreamKeyedStateBackend) {
            return (MillstreamKeyedStateBackend<?>) getKeyedStateBackend();
        }
        throw new IllegalStateException(identity + ": Flink made another state backend than "
                + MillstreamStateBackendFactory.class.getName() + ". Do not set state.backend.type or a BATCH mode.");
    }

    StageDriver driver() {
        return driver;
    }

    /** Called by native threads. */
    private void wake() {
        mailboxes.execute(() -> {
            if (driver != null) {
                driver.resume();
            }
        }, "wake stage");
    }

    @Override
    public void handleOperatorEvent(OperatorEvent event) {
        if (driver == null) {
            return;
        }
        if (event instanceof SourceEnd.AllHaveRead) {
            driver.mayFinish();
        } else if (event instanceof SourceEnd.LastCheckpoint) {
            driver.mayLeaveAfter(((SourceEnd.LastCheckpoint) event).checkpoint);
        }
    }

    /** Everything was read; others of the source's subtasks may not be as far. */
    void hasRead() {
        tellSourceEnd(new SourceEnd.HasRead());
    }

    private void tellSourceEnd(OperatorEvent event) {
        if (spec.source) {
            coordinator.sendEventToCoordinator(event);
        }
    }

    @Override
    public void prepareSnapshotPreBarrier(long checkpoint) {
        driver.prepare(checkpoint);
    }

    @Override
    public OperatorSnapshotFutures snapshotState(
            long checkpoint, long timestamp, CheckpointOptions options, CheckpointStreamFactory factory)
            throws Exception {
        FrozenStage frozen = driver.takeFrozen(checkpoint);
        MillstreamKeyedStateBackend<?> backend = keyedBackend();
        OperatorSnapshotFutures futures;
        try {
            lists.update(frozen.lists());
            if (backend != null) {
                backend.offer(frozen, new File(directory.path(), "checkpoint-" + checkpoint));
            }
            futures = super.snapshotState(checkpoint, timestamp, options, factory);
        } finally {
            if (backend == null || backend.takeBack()) {
                frozen.drop();
            }
        }
        afterSnapshot(checkpoint, options.getCheckpointType());
        return futures;
    }

    private void afterSnapshot(long checkpoint, SnapshotType type) {
        if (!type.isSavepoint()) {
            driver.resumeSoon();
        } else if (((SavepointType) type).isSynchronous()) {
            savepointThatStopsTheJob = checkpoint;
            tellSourceEnd(new SourceEnd.Leaves());
        } else {
            // Flink sends no word about a plain savepoint, and nothing may be committed because of it.
            mailboxes.execute(() -> driver.aborted(checkpoint), "give up commit of savepoint");
            driver.resumeSoon();
        }
    }

    @Override
    public void notifyCheckpointComplete(long checkpoint) throws Exception {
        super.notifyCheckpointComplete(checkpoint);
        driver.completed(checkpoint, checkpoint == savepointThatStopsTheJob);
    }

    @Override
    public void notifyCheckpointAborted(long checkpoint) throws Exception {
        super.notifyCheckpointAborted(checkpoint);
        driver.aborted(checkpoint);
    }

    @Override
    public void finish() throws Exception {
        driver.finish();
        stageMetrics.update();
        tellSourceEnd(new SourceEnd.HasFinished());
        super.finish();
    }

    /** Never throws because of the stage: an exception here would hide the one that made the task fail. */
    @Override
    public void close() throws Exception {
        StageDriver closing = driver;
        driver = null;
        try {
            if (closing != null) {
                stageMetrics.close();
                closing.close();
            }
        } finally {
            super.close();
            if (directory != null) {
                directory.delete();
            }
        }
    }

    /** Elements go to the native stage, which keeps no key of Flink's. */
    @Override
    public void setKeyContextElement1(StreamRecord<?> record) {}

    void forward(LatencyMarker marker) {
        reportOrForwardLatencyMarker(marker);
    }
}
