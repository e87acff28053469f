package io.millstream.flink;

import java.util.function.Supplier;
import org.apache.flink.api.common.TaskInfo;

/** Which subtask of which stage this is, for error messages. */
final class StageIdentity {
    private final String stage;
    private final int subtask;
    private final int parallelism;

    StageIdentity(String stage, TaskInfo task) {
        this.stage = stage;
        this.subtask = task.getIndexOfThisSubtask();
        this.parallelism = task.getNumberOfParallelSubtasks();
    }

    /** Runs a native call and says in its error where it happened. */
    <T> T explain(Supplier<T> nativeCall) {
        try {
            return nativeCall.get();
        } catch (NativeException e) {
            throw StageException.of(this, e);
        }
    }

    @Override
    public String toString() {
        return "Stage " + stage + ", subtask " + (subtask + 1) + " of " + parallelism;
    }
}
