package io.millstream.flink;

import org.apache.flink.runtime.operators.coordination.OperatorEvent;

/**
 * A subtask tells its coordinator that it has flushed everything: it needs no word of checkpoints any more.
 */
final class StageEnded implements OperatorEvent {
    private static final long serialVersionUID = 1L;
}
