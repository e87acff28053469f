package io.millstream.flink;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.apache.flink.runtime.executiongraph.ExecutionAttemptID;
import org.apache.flink.runtime.messages.Acknowledge;
import org.apache.flink.runtime.operators.coordination.OperatorCoordinator.SubtaskGateway;
import org.apache.flink.runtime.operators.coordination.OperatorEvent;
import org.junit.jupiter.api.Test;

class SourceEndTest {
    private final SourceEnd end = new SourceEnd(2);
    /** What subtask 0 was told. */
    private final List<String> told = new ArrayList<>();

    private SubtaskGateway gateway(int subtask) {
        return new SubtaskGateway() {
            @Override
            public CompletableFuture<Acknowledge> sendEvent(OperatorEvent event) {
                if (subtask == 0) {
                    told.add(event instanceof SourceEnd.LastCheckpoint
                            ? "last " + ((SourceEnd.LastCheckpoint) event).checkpoint
                            : event.getClass().getSimpleName());
                }
                return CompletableFuture.completedFuture(Acknowledge.get());
            }

            @Override
            public ExecutionAttemptID getExecution() {
                throw new UnsupportedOperationException("nobody asks for it");
            }

            @Override
            public int getSubtask() {
                return subtask;
            }
        };
    }

    private void runsToItsEnd(int subtask) {
        end.started(gateway(subtask));
        end.take(subtask, new SourceEnd.HasRead());
        end.take(subtask, new SourceEnd.HasFinished());
    }

    @Test
    void allLeaveAfterOneCheckpoint() {
        runsToItsEnd(0);
        end.checkpointBegins(1);
        runsToItsEnd(1);
        end.checkpointBegins(2);
        end.checkpointBegins(3);
        assertEquals(List.of("AllHaveRead", "last 2"), told);
    }

    @Test
    void whoStartsAnewIsWaitedFor() {
        runsToItsEnd(0);
        runsToItsEnd(1);
        end.checkpointBegins(1);
        end.forget(1);
        end.checkpointBegins(2);
        end.checkpointIsComplete(2);
        assertFalse(end.isTorn());
        runsToItsEnd(1);
        end.checkpointBegins(3);
        assertEquals(List.of("AllHaveRead", "last 1", "last " + Long.MAX_VALUE, "AllHaveRead", "last 3"), told);
    }

    @Test
    void nobodyStartsAnewAloneWhenTheOthersHaveLeft() {
        runsToItsEnd(0);
        runsToItsEnd(1);
        end.checkpointBegins(1);
        end.checkpointIsComplete(1);
        end.forget(1);
        assertTrue(end.isTorn());
        end.forget(0);
        assertFalse(end.isTorn());
        end.checkpointBegins(2);
        runsToItsEnd(0);
        runsToItsEnd(1);
        end.checkpointBegins(3);
        assertEquals("last 3", told.get(told.size() - 1));
    }
}
