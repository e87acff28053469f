package io.millstream.flink;

import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.Map;
import java.util.NavigableSet;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import org.apache.flink.runtime.jobgraph.OperatorID;
import org.apache.flink.runtime.operators.coordination.CoordinationRequest;
import org.apache.flink.runtime.operators.coordination.CoordinationRequestHandler;
import org.apache.flink.runtime.operators.coordination.CoordinationResponse;
import org.apache.flink.runtime.operators.coordination.OperatorCoordinator;
import org.apache.flink.runtime.operators.coordination.OperatorEvent;
import org.apache.flink.util.FlinkException;

/**
 * The part of a stage in the JobManager: gives subtasks their epoch, and tells them when a checkpoint begins.
 * Flink calls it on the JobManager's main thread only.
 *
 * <p>An epoch is given to the executions that Flink has announced, and to no other. A TaskManager that was
 * frozen, lost and replaced asks under the name of an execution that is never announced again: it waits until
 * it is cancelled.
 */
final class StageCoordinator implements OperatorCoordinator, CoordinationRequestHandler {
    private final byte[] job;
    private final Context context;
    /** The executions that Flink has announced. */
    private final Map<Integer, SubtaskGateway> gateways = new HashMap<>();
    /** Requests for an epoch of executions that were not announced yet. */
    private final Map<String, CompletableFuture<CoordinationResponse>> waiting = new HashMap<>();
    /** Requests of executions that are blocked and want to know when a checkpoint begins. */
    private final Map<String, CompletableFuture<CoordinationResponse>> watching = new HashMap<>();
    /** Checkpoints that have begun and are neither complete nor given up: a savepoint overlaps with others. */
    private final NavigableSet<Long> begun = new TreeSet<>();
    /** Null but for a source. */
    private final SourceEnd sourceEnd;
    private EpochClaims claims;

    StageCoordinator(byte[] job, boolean source, Context context) {
        this.job = job;
        this.context = context;
        this.sourceEnd = source ? new SourceEnd(context.currentParallelism()) : null;
    }

    /** Shared by the job's coordinators; a restore may ask for it before {@link #start}. */
    private EpochClaims claims() {
        if (claims == null) {
            claims = EpochClaims.of(context.getCoordinatorStore(), job);
        }
        return claims;
    }

    @Override
    public void start() {
        // Subtasks need it soon: the claim is made while they are still being deployed.
        claim();
    }

    @Override
    public CompletableFuture<CoordinationResponse> handleCoordinationRequest(CoordinationRequest request) {
        return request instanceof CheckpointWatch.Request
                ? nextCheckpoint((CheckpointWatch.Request) request)
                : epoch(((EpochRequest) request).execution);
    }

    private CompletableFuture<CoordinationResponse> nextCheckpoint(CheckpointWatch.Request request) {
        Long next = begun.higher(request.seen);
        if (next != null) {
            return CompletableFuture.completedFuture(CheckpointWatch.Request.answer(next));
        }
        // It takes the place of an earlier request that was not answered in time.
        CompletableFuture<CoordinationResponse> answer = new CompletableFuture<>();
        watching.put(request.execution, answer);
        return answer;
    }

    private CompletableFuture<CoordinationResponse> epoch(String execution) {
        CompletableFuture<CoordinationResponse> answer =
                waiting.computeIfAbsent(execution, name -> new CompletableFuture<>());
        gateways.values().forEach(this::answerIfWaiting);
        return answer;
    }

    @Override
    public void executionAttemptReady(int subtask, int attempt, SubtaskGateway gateway) {
        gateways.put(subtask, gateway);
        answerIfWaiting(gateway);
    }

    private void answerIfWaiting(SubtaskGateway gateway) {
        CompletableFuture<CoordinationResponse> answer = waiting.remove(gateway.getExecution().toString());
        if (answer == null) {
            return;
        }
        if (sourceEnd != null) {
            sourceEnd.started(gateway);
        }
        // A claim that fails makes the job fail, and the subtask with it.
        claim().thenAccept(epoch -> answer.complete(EpochRequest.answer(epoch)));
    }

    private CompletableFuture<Long> claim() {
        return claims().claim(this::failJob);
    }

    private void failJob(Throwable error) {
        context.failJob(error instanceof NativeException
                ? StageException.of("Claim of the job's epoch", (NativeException) error)
                : error);
    }

    @Override
    public void executionAttemptFailed(int subtask, int attempt, Throwable reason) {
        forget(subtask);
    }

    @Override
    public void subtaskReset(int subtask, long checkpoint) {
        forget(subtask);
        claims().invalidate();
    }

    private void forget(int subtask) {
        gateways.remove(subtask);
        if (sourceEnd != null) {
            sourceEnd.forget(subtask);
        }
    }

    /**
     * Who is told here is told before the barriers go out: Flink triggers the sources when the future is
     * complete.
     */
    @Override
    public void checkpointCoordinator(long checkpoint, CompletableFuture<byte[]> result) {
        begun.add(checkpoint);
        watching.values().forEach(answer -> answer.complete(CheckpointWatch.Request.answer(checkpoint)));
        watching.clear();
        if (sourceEnd != null) {
            if (sourceEnd.isTorn()) {
                context.failJob(new FlinkException("Subtasks of a source have started anew after the others had"
                        + " finished: the job starts anew as a whole."));
            }
            sourceEnd.checkpointBegins(checkpoint);
        }
        result.complete(ByteBuffer.allocate(Long.BYTES).putLong(claims().last()).array());
    }

    @Override
    public void resetToCheckpoint(long checkpoint, byte[] state) {
        claims().invalidate();
        begun.clear();
        if (sourceEnd != null) {
            sourceEnd.reset();
        }
        if (state != null) {
            claims().atLeast(ByteBuffer.wrap(state).getLong());
        }
    }

    @Override
    public void notifyCheckpointComplete(long checkpoint) {
        begun.remove(checkpoint);
        if (sourceEnd != null) {
            sourceEnd.checkpointIsComplete(checkpoint);
        }
    }

    @Override
    public void notifyCheckpointAborted(long checkpoint) {
        begun.remove(checkpoint);
    }

    @Override
    public void handleEventFromOperator(int subtask, int attempt, OperatorEvent event) throws FlinkException {
        if (sourceEnd == null || !sourceEnd.take(subtask, event)) {
            throw new FlinkException("Subtask " + subtask + " sent an unknown event: " + event + ".");
        }
    }

    @Override
    public void close() {
        closeAll(waiting);
        closeAll(watching);
    }

    private static void closeAll(Map<String, CompletableFuture<CoordinationResponse>> requests) {
        FlinkException closed = new FlinkException("The coordinator was closed.");
        requests.values().forEach(answer -> answer.completeExceptionally(closed));
        requests.clear();
    }

    /** Travels with the job graph. */
    static final class Provider implements OperatorCoordinator.Provider {
        private static final long serialVersionUID = 1L;

        private final byte[] job;
        private final boolean source;
        private final OperatorID operator;

        Provider(byte[] job, boolean source, OperatorID operator) {
            this.job = job;
            this.source = source;
            this.operator = operator;
        }

        @Override
        public OperatorID getOperatorId() {
            return operator;
        }

        @Override
        public OperatorCoordinator create(Context context) {
            return new StageCoordinator(job, source, context);
        }
    }
}
