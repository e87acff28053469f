package io.millstream.flink;

import org.apache.flink.streaming.api.operators.Output;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;
import org.apache.flink.util.OutputTag;

/** Hands what a stage emits to Flink: elements by the edge's side output, marks to all outputs. */
final class StageEmitter {
    private final Output<StreamRecord<byte[]>> output;
    private final OutEdge[] edges;
    /** Reused: every output serialises an element before it returns. */
    private final StreamRecord<byte[]> record = new StreamRecord<>(null);

    /** {@code routes} has the downstream parallelism of each edge of {@code spec}. */
    StageEmitter(Output<StreamRecord<byte[]>> output, StageSpec spec, int[] routes) {
        this.output = output;
        int count = spec.outEdges.stream().mapToInt(edge -> edge.number + 1).max().orElse(0);
        edges = new OutEdge[count];
        for (int i = 0; i < routes.length; i++) {
            StageSpec.EdgeSpec edge = spec.outEdges.get(i);
            edges[edge.number] = new OutEdge(edge, routes[i], spec.keyGroups);
        }
    }

    void element(int edge, int route, byte[] element) {
        OutEdge target = edges[edge];
        RoutingKey.write(element, target.keyOf(route));
        record.replace(element);
        output.collect(target.tag, record);
    }

    /** For Flink's display only: event time itself travels in the elements. */
    void watermark(long time) {
        output.emitWatermark(new Watermark(time));
    }

    void idle() {
        output.emitWatermarkStatus(WatermarkStatus.IDLE);
    }

    void active() {
        output.emitWatermarkStatus(WatermarkStatus.ACTIVE);
    }

    private static final class OutEdge {
        final OutputTag<byte[]> tag;
        /** Null where Flink takes the route as it is. */
        private final RoutingTable table;

        OutEdge(StageSpec.EdgeSpec edge, int routes, int keyGroups) {
            tag = edge.tag();
            table = edge.exchange == Exchange.HASH ? new RoutingTable(routes, keyGroups) : null;
        }

        int keyOf(int route) {
            return table == null ? route : table.keyOf(route);
        }
    }
}
