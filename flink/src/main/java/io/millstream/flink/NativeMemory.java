package io.millstream.flink;

import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.TaskManagerOptions;
import org.apache.flink.runtime.execution.SuppressRestartsException;

/**
 * The memory that the native side may use. Flink knows nothing of what is allocated outside the JVM, so it is
 * the user who sets it aside: {@code taskmanager.memory.task.off-heap.size} is the budget of all slots
 * together.
 */
final class NativeMemory {
    private NativeMemory() {}

    /** The share of one slot in bytes. */
    static long perSlot(Configuration taskManager) {
        long bytes = taskManager.get(TaskManagerOptions.TASK_OFF_HEAP_MEMORY).getBytes();
        if (bytes <= 0) {
            // A restart would meet the same TaskManagers.
            throw new SuppressRestartsException(new IllegalArgumentException(
                    "taskmanager.memory.task.off-heap.size is 0, but the pipeline keeps its state and its buffers"
                            + " outside the JVM's heap: set it to 128 MB per slot or more, and the process size as"
                            + " much higher."));
        }
        return bytes / Math.max(1, taskManager.get(TaskManagerOptions.NUM_TASK_SLOTS));
    }
}
