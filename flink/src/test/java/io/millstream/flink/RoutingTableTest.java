package io.millstream.flink;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.apache.flink.runtime.state.KeyGroupRangeAssignment;
import org.junit.jupiter.api.Test;

class RoutingTableTest {
    @Test
    void flinkSendsEachKeyToItsSubtask() {
        for (int keyGroups : new int[] {1, 7, 128, 4096}) {
            for (int parallelism = 1; parallelism <= Math.min(keyGroups, 65); parallelism++) {
                RoutingTable table = new RoutingTable(parallelism, keyGroups);
                for (int subtask = 0; subtask < parallelism; subtask++) {
                    byte[] element = new byte[8];
                    RoutingKey.write(element, table.keyOf(subtask));
                    Integer key = new RoutingKey().getKey(element);
                    assertEquals(
                            subtask,
                            KeyGroupRangeAssignment.assignKeyToParallelOperator(key, keyGroups, parallelism));
                }
            }
        }
    }

    @Test
    void moreSubtasksThanKeyGroupsAreRefused() {
        assertThrows(IllegalArgumentException.class, () -> new RoutingTable(3, 2));
    }

    @Test
    void aRouteBeyondTheFirstByteSurvives() {
        byte[] element = new byte[4];
        RoutingKey.write(element, 0x80F1E2D3);
        assertEquals(0x80F1E2D3, RoutingKey.read(element));
    }
}
