package io.millstream.flink;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.util.FlinkRuntimeException;

/**
 * Runs the native enumerator in the JobManager. All methods run on the source coordinator's thread, which
 * also takes checkpoints; only the native calls run elsewhere, one at a time. Their answers are taken over as
 * a whole, so that a checkpoint never sees half of one.
 */
final class NativeEnumerator implements SplitEnumerator<Assignment, EnumeratorState> {
    private final SplitEnumeratorContext<Assignment> context;
    private final EnumeratorCalls calls;
    /** Null until the enumerator has started for the first time. */
    private byte[] snapshot;
    private final Map<Integer, List<Assignment>> pending = new TreeMap<>();
    /** Subtasks that have registered since this enumerator was made. */
    private final Set<Integer> seen = new HashSet<>();
    /** Subtasks that got their last assignment. */
    private final Set<Integer> complete = new HashSet<>();
    private boolean ticking;

    /** {@code restored} is null on a fresh start. */
    NativeEnumerator(StageSpec spec, SplitEnumeratorContext<Assignment> context, EnumeratorState restored) {
        this.context = context;
        this.calls = new EnumeratorCalls(spec, context.currentParallelism());
        if (restored != null) {
            snapshot = restored.snapshot;
            restored.pending.forEach((subtask, assignments) ->
                    pendingOf(subtask % context.currentParallelism()).addAll(assignments));
        }
    }

    @Override
    public void start() {
        byte[] from = snapshot;
        call(() -> calls.start(from));
    }

    @Override
    public void handleSplitRequest(int subtask, String host) {
        call(() -> calls.readerReady(subtask));
    }

    private void call(Callable<EnumeratorCalls.Answer> nativeCall) {
        context.callAsync(nativeCall, this::take);
    }

    private void take(EnumeratorCalls.Answer answer, Throwable error) {
        if (error != null) {
            throw error instanceof RuntimeException ? (RuntimeException) error : new FlinkRuntimeException(error);
        }
        snapshot = answer.snapshot;
        for (int i = 0; i < answer.subtasks.size(); i++) {
            pendingOf(answer.subtasks.get(i)).add(answer.assignments.get(i));
        }
        new ArrayList<>(context.registeredReaders().keySet()).forEach(this::deliver);
        if (answer.tickEveryMillis > 0 && !ticking) {
            ticking = true;
            context.callAsync(calls::tick, this::take, answer.tickEveryMillis, answer.tickEveryMillis);
        }
    }

    private List<Assignment> pendingOf(int subtask) {
        return pending.computeIfAbsent(subtask, key -> new ArrayList<>());
    }

    private void deliver(int subtask) {
        List<Assignment> assignments = pending.remove(subtask);
        if (assignments == null) {
            return;
        }
        for (Assignment assignment : assignments) {
            context.assignSplit(assignment, subtask);
            if (assignment.isLast()) {
                complete.add(subtask);
            }
        }
    }

    /**
     * A reader that restarts has its splits from its state, and the enumerator will not send them again. It
     * must still hear that it was assigned something, or it would hold event time back. Where splits are on
     * their way, it hears of those: a reader that was assigned none would say that it is idle meanwhile.
     */
    @Override
    public void addReader(int subtask) {
        if (!seen.add(subtask) && pendingOf(subtask).isEmpty()) {
            context.assignSplit(new Assignment(Native.emptyAssignment(complete.contains(subtask))), subtask);
        }
        deliver(subtask);
    }

    /** The reader failed before a checkpoint held these: they go to it again when it is back. */
    @Override
    public void addSplitsBack(List<Assignment> assignments, int subtask) {
        pendingOf(subtask).addAll(assignments);
        if (assignments.stream().anyMatch(Assignment::isLast)) {
            complete.remove(subtask);
        }
    }

    @Override
    public EnumeratorState snapshotState(long checkpoint) {
        return EnumeratorState.copyOf(snapshot, pending);
    }

    @Override
    public void close() {
        calls.close();
    }
}
