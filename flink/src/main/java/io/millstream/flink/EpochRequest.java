package io.millstream.flink;

import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeoutException;
import org.apache.flink.runtime.execution.Environment;
import org.apache.flink.runtime.jobgraph.OperatorID;
import org.apache.flink.runtime.operators.coordination.CoordinationRequest;
import org.apache.flink.runtime.operators.coordination.CoordinationResponse;
import org.apache.flink.streaming.api.operators.collect.CollectCoordinationResponse;
import org.apache.flink.util.ExceptionUtils;
import org.apache.flink.util.SerializedValue;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A subtask asks its coordinator for the epoch under which it may write.
 *
 * <p>The answer is one of Flink's own classes because the TaskManager reads it with the system's class
 * loader, which does not know the classes of the job.
 */
final class EpochRequest implements CoordinationRequest {
    private static final long serialVersionUID = 1L;
    private static final Logger LOG = LoggerFactory.getLogger(EpochRequest.class);

    /** Which execution asks; a frozen one that wakes up later is not the one that the coordinator knows. */
    final String execution;

    private EpochRequest(String execution) {
        this.execution = execution;
    }

    /**
     * Waits for the epoch. The storage of the job's log may be away for longer than Flink waits for an answer;
     * a claim that fails makes the job fail, and with it this task.
     */
    static long ask(Environment environment, OperatorID operator) throws Exception {
        CoordinationRequest request = new EpochRequest(environment.getExecutionId().toString());
        while (true) {
            try {
                CoordinationResponse response = environment
                        .getOperatorCoordinatorEventGateway()
                        .sendRequestToCoordinator(operator, new SerializedValue<>(request))
                        .get();
                return ((CollectCoordinationResponse) response).getLastCheckpointedOffset();
            } catch (ExecutionException e) {
                if (!(ExceptionUtils.stripCompletionException(e.getCause()) instanceof TimeoutException)) {
                    throw new IllegalStateException(
                            "The JobManager could not be asked for the job's epoch.", e.getCause());
                }
                LOG.info("The JobManager still claims the job's epoch in the log below state.checkpoints.dir.");
            }
        }
    }

    static CoordinationResponse answer(long epoch) {
        return new CollectCoordinationResponse("epoch", epoch, List.of());
    }
}
