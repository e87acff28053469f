package io.millstream.bench;

import java.time.Duration;
import java.util.List;
import java.util.Set;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.KafkaSourceBuilder;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.util.ParameterTool;

/**
 * The shop's job of `apps/clickstream` in the DataStream API: {@code --brokers HOST:PORT --topic NAME}, and
 * optionally {@code --jobs user-clicks,hot-items,pv-uv}, {@code --results TOPIC} and {@code --bounded}.
 */
public final class ClickstreamJob {
    private static final Set<String> COUNTED = Set.of("pv", "click", "view");

    private ClickstreamJob() {}

    public static void main(String[] arguments) throws Exception {
        ParameterTool parameters = ParameterTool.fromArgs(arguments);
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
        env.getConfig().enableObjectReuse();
        Outputs outputs = new Outputs(parameters.getRequired("brokers"), parameters.get("results"));
        SingleOutputStreamOperator<Event> events = events(parameters, env);
        List<String> jobs = List.of(parameters.get("jobs", "user-clicks,hot-items,pv-uv").split(","));
        if (jobs.contains("user-clicks")) {
            UserClicksJob.build(events, outputs);
        }
        if (jobs.contains("hot-items")) {
            HotItemsJob.build(events, outputs);
        }
        if (jobs.contains("pv-uv")) {
            PvUvJob.build(events, outputs);
        }
        env.execute("clickstream in Java");
    }

    private static SingleOutputStreamOperator<Event> events(
            ParameterTool parameters, StreamExecutionEnvironment env) {
        KafkaSourceBuilder<Event> source = KafkaSource.<Event>builder()
                .setBootstrapServers(parameters.getRequired("brokers"))
                .setTopics(parameters.getRequired("topic"))
                .setGroupId("clickstream-java")
                .setStartingOffsets(OffsetsInitializer.earliest())
                .setDeserializer(KafkaRecordDeserializationSchema.valueOnly(new EventDeserializer()));
        if (parameters.has("bounded")) {
            source.setBounded(OffsetsInitializer.latest());
        }
        WatermarkStrategy<Event> watermarks = WatermarkStrategy.<Event>forBoundedOutOfOrderness(Duration.ofSeconds(5))
                .withIdleness(Duration.ofSeconds(30))
                .withTimestampAssigner((event, time) -> event.timestamp);
        return env.fromSource(source.build(), watermarks, "clicks").filter(event -> COUNTED.contains(event.behavior));
    }
}
