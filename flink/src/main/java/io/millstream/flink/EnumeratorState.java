package io.millstream.flink;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** What a checkpoint keeps of an enumerator. */
final class EnumeratorState {
    /** The native enumerator's own; null when it had not started yet. */
    final byte[] snapshot;
    /** Assignments that had not gone to their reader yet, by subtask. */
    final Map<Integer, List<Assignment>> pending;

    EnumeratorState(byte[] snapshot, Map<Integer, List<Assignment>> pending) {
        this.snapshot = snapshot;
        this.pending = pending;
    }

    static EnumeratorState copyOf(byte[] snapshot, Map<Integer, List<Assignment>> pending) {
        Map<Integer, List<Assignment>> copy = new TreeMap<>();
        pending.forEach((subtask, assignments) -> copy.put(subtask, new ArrayList<>(assignments)));
        return new EnumeratorState(snapshot, copy);
    }
}
