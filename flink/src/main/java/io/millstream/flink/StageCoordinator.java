package io.millstream.flink;

import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.Map;
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
    /**
     * Those of them that have asked for their epoch, which shows that their operators run, and have not
     * ended. No sources.
     */
    private final Map<Integer, SubtaskGateway> running = new HashMap<>();
    /** Requests of executions that were not announced yet. */
    private final Map<String, CompletableFuture<CoordinationResponse>> waiting = new HashMap<>();
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
        NativeLibrary.load();
        // Subtasks need it soon: the claim is made while they are still being deployed.
        claims().claim();
    }

    @Override
    public CompletableFuture<CoordinationResponse> handleCoordinationRequest(CoordinationRequest request) {
        String execution = ((EpochRequest) request).execution;
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
        if (sourceEnd == null) {
            running.put(gateway.getSubtask(), gateway);
        } else {
            sourceEnd.started(gateway);
        }
        claims().claim().whenComplete((epoch, error) -> {
            if (error == null) {
                answer.complete(EpochRequest.answer(epoch));
            } else {
                failJob(error);
                // The TaskManager reads the answer without the classes of the job.
                answer.completeExceptionally(new FlinkException("The job's epoch could not be claimed."));
            }
        });
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
        running.remove(subtask);
        if (sourceEnd != null) {
            sourceEnd.forget(subtask);
        }
    }

    /**
     * The events go out before the barriers do: Flink triggers the sources when the future is complete. An
     * event for a subtask that has finished would make the checkpoint fail.
     */
    @Override
    public void checkpointCoordinator(long checkpoint, CompletableFuture<byte[]> result) {
        running.values().forEach(gateway -> gateway.sendEvent(new CheckpointBegins(checkpoint)));
        if (sourceEnd != null) {
            sourceEnd.checkpointBegins(checkpoint);
        }
        result.complete(ByteBuffer.allocate(Long.BYTES).putLong(claims().last()).array());
    }

    @Override
    public void resetToCheckpoint(long checkpoint, byte[] state) {
        claims().invalidate();
        if (sourceEnd != null) {
            sourceEnd.reset();
        }
        if (state != null) {
            claims().atLeast(ByteBuffer.wrap(state).getLong());
        }
    }

    @Override
    public void notifyCheckpointComplete(long checkpoint) {}

    @Override
    public void handleEventFromOperator(int subtask, int attempt, OperatorEvent event) throws FlinkException {
        if (event instanceof StageEnded) {
            running.remove(subtask);
            if (sourceEnd != null) {
                sourceEnd.hasFinished(subtask);
            }
        } else if (event instanceof SourceEnd.HasRead && sourceEnd != null) {
            sourceEnd.hasRead(subtask);
        } else {
            throw new FlinkException("Subtask " + subtask + " sent an unknown event: " + event + ".");
        }
    }

    @Override
    public void close() {
        waiting.values().forEach(answer ->
                answer.completeExceptionally(new FlinkException("The coordinator was closed.")));
        waiting.clear();
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
