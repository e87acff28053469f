package io.millstream.flink;

import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import org.apache.flink.runtime.operators.coordination.OperatorCoordinator.SubtaskGateway;
import org.apache.flink.runtime.operators.coordination.OperatorEvent;

/**
 * Sees to it that the subtasks of a source leave together, after one and the same checkpoint.
 *
 * <p>Flink completes no checkpoint while a part of a vertex's subtasks has finished and any of them has union
 * list state, as sinks and watermarks of a source's stage have; and a subtask that is restored as finished
 * tells nobody that its event time is over. So a subtask that has read everything waits: first until all of
 * them have, then, when it is finished in Flink's sense, until a checkpoint is complete that was begun when
 * all of them were.
 */
final class SourceEnd {
    private static final long UNKNOWN = Long.MAX_VALUE;

    private final int parallelism;
    private final Map<Integer, SubtaskGateway> gateways = new HashMap<>();
    private final Set<Integer> read = new HashSet<>();
    private final Set<Integer> finished = new HashSet<>();
    /** The checkpoint after which all leave. */
    private long last = UNKNOWN;
    /** Whether that checkpoint is complete. */
    private boolean leaving;
    /** Those that have started anew since. */
    private final Set<Integer> again = new HashSet<>();

    SourceEnd(int parallelism) {
        this.parallelism = parallelism;
    }

    void started(SubtaskGateway gateway) {
        gateways.put(gateway.getSubtask(), gateway);
    }

    /**
     * The subtask starts anew, perhaps from before its end. Flink may restart it alone, so the others are told
     * to stay.
     */
    void forget(int subtask) {
        gateways.remove(subtask);
        read.remove(subtask);
        finished.remove(subtask);
        if (leaving) {
            again.add(subtask);
        } else if (last != UNKNOWN) {
            last = UNKNOWN;
            tell(new LastCheckpoint(UNKNOWN));
        }
    }

    /**
     * Whether some subtasks have started anew when the others had leave to go. No checkpoint can be complete
     * any more: all must start anew.
     */
    boolean isTorn() {
        return !again.isEmpty() && again.size() < parallelism;
    }

    /** The whole source starts anew. */
    void reset() {
        read.clear();
        finished.clear();
        again.clear();
        leaving = false;
        last = UNKNOWN;
    }

    /** Takes an event of a subtask; false for one of another kind. */
    boolean take(int subtask, OperatorEvent event) {
        if (event instanceof HasRead) {
            hasRead(subtask);
        } else if (event instanceof HasFinished) {
            finished.add(subtask);
        } else if (event instanceof Leaves) {
            gateways.remove(subtask);
        } else {
            return false;
        }
        return true;
    }

    private void hasRead(int subtask) {
        read.add(subtask);
        if (read.size() == parallelism) {
            tell(new AllHaveRead());
        }
    }

    /** Called before the barriers of a checkpoint go out. */
    void checkpointBegins(long checkpoint) {
        if (again.size() == parallelism) {
            again.clear();
            leaving = false;
            last = UNKNOWN;
        }
        if (last == UNKNOWN && finished.size() == parallelism) {
            last = checkpoint;
            tell(new LastCheckpoint(checkpoint));
        }
    }

    void checkpointIsComplete(long checkpoint) {
        leaving |= last != UNKNOWN && checkpoint >= last;
    }

    private void tell(OperatorEvent event) {
        gateways.values().forEach(gateway -> gateway.sendEvent(event));
    }

    /** To the coordinator: this subtask has read everything. */
    static final class HasRead implements OperatorEvent {
        private static final long serialVersionUID = 1L;
    }

    /**
     * To the coordinator: this subtask has finished in Flink's sense. It stays until the last checkpoint is
     * complete.
     */
    static final class HasFinished implements OperatorEvent {
        private static final long serialVersionUID = 1L;
    }

    /**
     * To the coordinator: this subtask has taken the savepoint that stops the job, and leaves when it is
     * complete. An event that comes after that would make its task fail, and Flink begins one more checkpoint
     * when a job is drained.
     */
    static final class Leaves implements OperatorEvent {
        private static final long serialVersionUID = 1L;
    }

    /** From the coordinator: all subtasks have. */
    static final class AllHaveRead implements OperatorEvent {
        private static final long serialVersionUID = 1L;
    }

    /**
     * From the coordinator: all subtasks have finished before this checkpoint, and leave when it or a later
     * one is complete.
     */
    static final class LastCheckpoint implements OperatorEvent {
        private static final long serialVersionUID = 1L;

        final long checkpoint;

        LastCheckpoint(long checkpoint) {
            this.checkpoint = checkpoint;
        }
    }
}
