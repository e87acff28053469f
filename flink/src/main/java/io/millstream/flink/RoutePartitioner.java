package io.millstream.flink;

import org.apache.flink.api.common.functions.Partitioner;

/** Sends an element of a rebalanced edge to the subtask that its sender chose. */
final class RoutePartitioner implements Partitioner<Integer> {
    private static final long serialVersionUID = 1L;

    @Override
    public int partition(Integer route, int parallelism) {
        return route % parallelism;
    }
}
