package io.millstream.flink;

import java.io.IOException;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.function.LongConsumer;
import org.apache.flink.runtime.execution.Environment;
import org.apache.flink.runtime.jobgraph.OperatorID;
import org.apache.flink.runtime.operators.coordination.CoordinationRequest;
import org.apache.flink.runtime.operators.coordination.CoordinationResponse;
import org.apache.flink.streaming.api.operators.collect.CollectCoordinationResponse;
import org.apache.flink.util.SerializedValue;

/**
 * Tells a blocked stage that a checkpoint has begun: it then takes data again, so that the barrier can come
 * through. Nothing else in Flink tells it.
 *
 * <p>The subtask asks, and its coordinator answers when a checkpoint begins. An event of the coordinator
 * would not do: Flink makes a task fail that an event does not reach, and where a task has just failed by
 * itself, its own error is never shown.
 */
final class CheckpointWatch {
    /** How long to wait after a request that failed; those that are not answered in time fail, too. */
    private static final long PAUSE_MILLIS = 200;

    private final Environment environment;
    private final OperatorID operator;
    private final TaskMailboxes mailboxes;
    private final LongConsumer begins;
    private boolean asked;
    /** The latest checkpoint whose barrier has come. */
    private long seen;
    /** Later ones that were given up. */
    private final Set<Long> givenUp = new HashSet<>();

    CheckpointWatch(Environment environment, OperatorID operator, TaskMailboxes mailboxes, LongConsumer begins) {
        this.environment = environment;
        this.operator = operator;
        this.mailboxes = mailboxes;
        this.begins = begins;
    }

    /** The stage is blocked. */
    void ask() {
        if (asked) {
            return;
        }
        asked = true;
        send().whenComplete((answer, error) -> mailboxes.execute(() -> answered(answer, error), "checkpoint begins"));
    }

    private CompletableFuture<CoordinationResponse> send() {
        CoordinationRequest request = new Request(environment.getExecutionId().toString(), seen);
        try {
            return environment
                    .getOperatorCoordinatorEventGateway()
                    .sendRequestToCoordinator(operator, new SerializedValue<>(request));
        } catch (IOException e) {
            throw new IllegalStateException("A request could not be serialized.", e);
        }
    }

    private void answered(CoordinationResponse answer, Throwable error) {
        if (error != null) {
            long again = mailboxes.time().getCurrentProcessingTime() + PAUSE_MILLIS;
            mailboxes.time().registerTimer(again, now -> asked = false);
            return;
        }
        asked = false;
        long checkpoint = ((CollectCoordinationResponse) answer).getLastCheckpointedOffset();
        if (checkpoint > seen && !givenUp.contains(checkpoint)) {
            begins.accept(checkpoint);
        }
    }

    /** This checkpoint's barrier has come. */
    void hasSeen(long checkpoint) {
        seen = Math.max(seen, checkpoint);
        givenUp.removeIf(older -> older <= seen);
    }

    /** This checkpoint was given up. An earlier one, such as a savepoint, may still be on its way. */
    void isGivenUp(long checkpoint) {
        if (checkpoint > seen) {
            givenUp.add(checkpoint);
        }
    }

    /** Asks for a checkpoint that has begun after {@code seen}. */
    static final class Request implements CoordinationRequest {
        private static final long serialVersionUID = 1L;

        final String execution;
        final long seen;

        private Request(String execution, long seen) {
            this.execution = execution;
            this.seen = seen;
        }

        /** One of Flink's own classes: see {@link EpochRequest}. */
        static CoordinationResponse answer(long checkpoint) {
            return new CollectCoordinationResponse("checkpoint", checkpoint, List.of());
        }
    }
}
