package io.millstream.flink;

import org.apache.flink.runtime.state.KeyGroupRangeAssignment;

/**
 * For each downstream subtask a key that Flink sends there.
 *
 * <p>A native stage decides where an element goes; Flink decides by the hash of a key. This table is the
 * bridge: it turns the subtask into a key whose key group that subtask owns.
 */
final class RoutingTable {
    private final int[] keys;

    RoutingTable(int parallelism, int keyGroups) {
        if (parallelism > keyGroups) {
            throw new IllegalArgumentException("There are " + parallelism + " subtasks but only " + keyGroups
                    + " key groups: lower the parallelism or raise the number of key groups.");
        }
        keys = new int[parallelism];
        boolean[] found = new boolean[parallelism];
        int missing = parallelism;
        for (int key = 0; missing > 0; key++) {
            int subtask = KeyGroupRangeAssignment.assignKeyToParallelOperator(key, keyGroups, parallelism);
            if (!found[subtask]) {
                found[subtask] = true;
                keys[subtask] = key;
                missing--;
            }
        }
    }

    int size() {
        return keys.length;
    }

    int keyOf(int subtask) {
        return keys[subtask];
    }
}
