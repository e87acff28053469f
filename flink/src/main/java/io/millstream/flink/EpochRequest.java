package io.millstream.flink;

import java.util.List;
import java.util.concurrent.ExecutionException;
import org.apache.flink.runtime.execution.Environment;
import org.apache.flink.runtime.jobgraph.OperatorID;
import org.apache.flink.runtime.operators.coordination.CoordinationRequest;
import org.apache.flink.runtime.operators.coordination.CoordinationResponse;
import org.apache.flink.streaming.api.operators.collect.CollectCoordinationResponse;
import org.apache.flink.util.SerializedValue;

/**
 * A subtask asks its coordinator for the epoch under which it may write.
 *
 * <p>The answer is one of Flink's own classes because the TaskManager reads it with the system's class
 * loader, which does not know the classes of the job.
 */
final class EpochRequest implements CoordinationRequest {
    private static final long serialVersionUID = 1L;

    /** Which execution asks; a frozen one that wakes up later is not the one that the coordinator knows. */
    final String execution;

    private EpochRequest(String execution) {
        this.execution = execution;
    }

    /** Waits for the epoch. The RPC ends the wait with an error if the coordinator does not answer. */
    static long ask(Environment environment, OperatorID operator) throws Exception {
        CoordinationRequest request = new EpochRequest(environment.getExecutionId().toString());
        try {
            CoordinationResponse response = environment
                    .getOperatorCoordinatorEventGateway()
                    .sendRequestToCoordinator(operator, new SerializedValue<>(request))
                    .get();
            return ((CollectCoordinationResponse) response).getLastCheckpointedOffset();
        } catch (ExecutionException e) {
            throw new IllegalStateException(
                    "The job's epoch could not be had from the JobManager. It is claimed in the job's log: see the"
                            + " JobManager's log for what failed there.",
                    e.getCause());
        }
    }

    static CoordinationResponse answer(long epoch) {
        return new CollectCoordinationResponse("epoch", epoch, List.of());
    }
}
