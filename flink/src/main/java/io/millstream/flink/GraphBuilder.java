package io.millstream.flink;

import java.util.ArrayList;
import java.util.List;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.MultipleConnectedStreams;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.transformations.AbstractMultipleInputTransformation;
import org.apache.flink.streaming.api.transformations.KeyedMultipleInputTransformation;
import org.apache.flink.streaming.api.transformations.MultipleInputTransformation;
import org.apache.flink.streaming.api.transformations.OneInputTransformation;

/**
 * Turns a plan into Flink's graph: an operator per stage, a side output per edge, uids as the user named
 * them.
 */
final class GraphBuilder {
    private static final TypeInformation<byte[]> ELEMENT = PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO;

    private final StreamExecutionEnvironment environment;
    private final PlanDescription plan;
    /** The operators of the stages so far; an edge leads from a stage to a later one. */
    private final List<SingleOutputStreamOperator<byte[]>> built = new ArrayList<>();

    GraphBuilder(StreamExecutionEnvironment environment, PlanDescription plan) {
        this.environment = environment;
        this.plan = plan;
    }

    void build() {
        for (int stage = 0; stage < plan.stages.size(); stage++) {
            PlanDescription.Stage described = plan.stages.get(stage);
            SingleOutputStreamOperator<byte[]> operator = operator(new StageSpec(plan, stage), described);
            // Flink cuts names at 80 characters for metrics; its web UI shows descriptions.
            operator.uid(described.uid).name(described.uid).setDescription(described.name);
            operator.setMaxParallelism(plan.keyGroups);
            if (described.parallelism > 0) {
                operator.setParallelism(described.parallelism);
            }
            built.add(operator);
        }
    }

    private SingleOutputStreamOperator<byte[]> operator(StageSpec spec, PlanDescription.Stage described) {
        if (spec.source) {
            return sourceStage(spec, described);
        }
        return spec.inEdges.size() == 1 ? oneInputStage(spec) : multipleInputStage(spec);
    }

    private SingleOutputStreamOperator<byte[]> sourceStage(StageSpec spec, PlanDescription.Stage described) {
        SingleOutputStreamOperator<byte[]> reader = environment
                .fromSource(new NativeSource(spec), WatermarkStrategy.noWatermarks(), "splits of " + described.uid, ELEMENT)
                .uid(described.readerUid)
                .setMaxParallelism(plan.keyGroups);
        if (described.parallelism > 0) {
            reader.setParallelism(described.parallelism);
        }
        return reader.transform(spec.name, ELEMENT, StageOperatorFactory.oneInput(spec));
    }

    private SingleOutputStreamOperator<byte[]> oneInputStage(StageSpec spec) {
        SingleOutputStreamOperator<byte[]> operator = stream(spec.inEdges.get(0))
                .transform(spec.name, ELEMENT, StageOperatorFactory.oneInput(spec));
        if (spec.keyed) {
            // Only a keyed operator gets a keyed state backend, whatever its input's partitioning is.
            OneInputTransformation<?, ?> transformation = (OneInputTransformation<?, ?>) operator.getTransformation();
            setKey(transformation);
        }
        return operator;
    }

    @SuppressWarnings("unchecked")
    private static void setKey(OneInputTransformation<?, ?> transformation) {
        ((OneInputTransformation<byte[], ?>) transformation).setStateKeySelector(new RoutingKey());
        transformation.setStateKeyType(Types.INT);
    }

    private SingleOutputStreamOperator<byte[]> multipleInputStage(StageSpec spec) {
        AbstractMultipleInputTransformation<byte[]> transformation = spec.keyed ? keyed(spec) : plain(spec);
        environment.addOperator(transformation);
        return new MultipleConnectedStreams(environment).transform(transformation);
    }

    private AbstractMultipleInputTransformation<byte[]> keyed(StageSpec spec) {
        KeyedMultipleInputTransformation<byte[]> transformation = new KeyedMultipleInputTransformation<>(
                spec.name, StageOperatorFactory.multipleInput(spec), ELEMENT, environment.getParallelism(), Types.INT);
        spec.inEdges.forEach(edge -> transformation.addInput(stream(edge).getTransformation(), new RoutingKey()));
        return transformation;
    }

    private AbstractMultipleInputTransformation<byte[]> plain(StageSpec spec) {
        MultipleInputTransformation<byte[]> transformation = new MultipleInputTransformation<>(
                spec.name, StageOperatorFactory.multipleInput(spec), ELEMENT, environment.getParallelism());
        spec.inEdges.forEach(edge -> transformation.addInput(stream(edge).getTransformation()));
        return transformation;
    }

    /** The elements of an edge, partitioned as its exchange says. */
    private DataStream<byte[]> stream(StageSpec.EdgeSpec edge) {
        DataStream<byte[]> output = built.get(plan.edges.get(edge.number).from).getSideOutput(edge.tag());
        return edge.exchange == Exchange.HASH
                ? output.keyBy(new RoutingKey(), Types.INT)
                : output.partitionCustom(new RoutePartitioner(), new RoutingKey());
    }
}
