package io.millstream.flink;

import org.apache.flink.runtime.operators.coordination.OperatorEvent;

/**
 * Tells a subtask that a checkpoint has begun, before its barrier comes: a blocked stage then takes data
 * again.
 */
final class CheckpointBegins implements OperatorEvent {
    private static final long serialVersionUID = 1L;

    final long checkpoint;

    CheckpointBegins(long checkpoint) {
        this.checkpoint = checkpoint;
    }
}
