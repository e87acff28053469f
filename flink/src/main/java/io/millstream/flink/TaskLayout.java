package io.millstream.flink;

import java.util.List;
import org.apache.flink.api.common.TaskInfo;
import org.apache.flink.runtime.execution.Environment;
import org.apache.flink.streaming.api.graph.NonChainedOutput;
import org.apache.flink.streaming.api.graph.StreamConfig;
import org.apache.flink.streaming.api.graph.StreamEdge;
import org.apache.flink.streaming.runtime.tasks.StreamTask;

/**
 * How many subtasks are at the other ends of a stage's edges. Flink may run a job with another parallelism
 * than was planned, so the numbers come from the task's channels.
 */
final class TaskLayout {
    private final StreamTask<?, ?> task;
    private final StageSpec spec;

    TaskLayout(StreamTask<?, ?> task, StageSpec spec) {
        this.task = task;
        this.spec = spec;
    }

    Environment environment() {
        return task.getEnvironment();
    }

    TaskInfo taskInfo() {
        return environment().getTaskInfo();
    }

    /** The downstream parallelism of each out-edge. */
    int[] routes() {
        List<NonChainedOutput> outputs =
                config().getVertexNonChainedOutputs(environment().getUserCodeClassLoader().asClassLoader());
        return spec.outEdges.stream().mapToInt(edge -> routes(edge, outputs)).toArray();
    }

    private int routes(StageSpec.EdgeSpec edge, List<NonChainedOutput> outputs) {
        for (int index = 0; index < outputs.size(); index++) {
            if (edge.tag().equals(outputs.get(index).getOutputTag())) {
                return environment().getWriter(index).getNumberOfSubpartitions();
            }
        }
        throw new IllegalStateException("Stage " + spec.name + " has no output for edge " + edge.number + ".");
    }

    /** The upstream parallelism of the in-edge with this place in {@link StageSpec#inEdges}. */
    int upstreams(int input) {
        List<StreamEdge> edges = config().getInPhysicalEdges(environment().getUserCodeClassLoader().asClassLoader());
        for (int gate = 0; gate < edges.size(); gate++) {
            if (inputOf(edges.get(gate)) == input) {
                return environment().getInputGate(gate).getNumberOfInputChannels();
            }
        }
        throw new IllegalStateException("Stage " + spec.name + " has no input gate for input " + input + ".");
    }

    /**
     * Flink numbers the inputs of an operator with several of them from 1, and the only input of others 0.
     */
    private static int inputOf(StreamEdge edge) {
        return Math.max(0, edge.getTypeNumber() - 1);
    }

    private StreamConfig config() {
        return task.getConfiguration();
    }
}
