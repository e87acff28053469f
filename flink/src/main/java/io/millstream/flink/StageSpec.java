package io.millstream.flink;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.util.OutputTag;

/** What travels with the job graph about one stage: everything that a subtask must know to open it. */
final class StageSpec implements Serializable {
    private static final long serialVersionUID = 1L;

    final byte[] job;
    final int stage;
    final String name;
    final boolean source;
    final boolean keyed;
    final int keyGroups;
    /** In the order of the plan. */
    final List<EdgeSpec> outEdges = new ArrayList<>();
    /** In the order of the operator's inputs in Flink. */
    final List<EdgeSpec> inEdges = new ArrayList<>();

    StageSpec(PlanDescription plan, int stage) {
        PlanDescription.Stage described = plan.stages.get(stage);
        this.job = plan.job;
        this.stage = stage;
        this.name = described.name;
        this.source = described.isSource();
        this.keyed = described.keyed;
        this.keyGroups = plan.keyGroups;
        for (int number = 0; number < plan.edges.size(); number++) {
            PlanDescription.Edge edge = plan.edges.get(number);
            if (edge.from == stage) {
                outEdges.add(new EdgeSpec(number, edge.exchange));
            }
            if (edge.to == stage) {
                inEdges.add(new EdgeSpec(number, edge.exchange));
            }
        }
    }

    /** An edge as one of its ends sees it. */
    static final class EdgeSpec implements Serializable {
        private static final long serialVersionUID = 1L;

        final int number;
        final Exchange exchange;

        private EdgeSpec(int number, Exchange exchange) {
            this.number = number;
            this.exchange = exchange;
        }

        /** The side output that carries the edge. */
        OutputTag<byte[]> tag() {
            return new OutputTag<>("edge-" + number, PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO);
        }
    }
}
