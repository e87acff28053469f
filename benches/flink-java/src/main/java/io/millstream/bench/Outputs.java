package io.millstream.bench;

import org.apache.flink.api.common.serialization.SimpleStringSchema;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.util.OutputTag;

/** Where rows go: nowhere, or to a topic of Kafka as JSON. Late events are discarded. */
final class Outputs {
    static final OutputTag<String> LATE_IDS = new OutputTag<>("late", Types.STRING);
    static final OutputTag<Event> LATE_EVENTS = new OutputTag<>("late", TypeInformation.of(Event.class));

    private final String brokers;
    /** Null for nowhere. */
    private final String topic;

    Outputs(String brokers, String topic) {
        this.brokers = brokers;
        this.topic = topic;
    }

    <T extends Row> void rows(String table, DataStream<T> rows) {
        if (topic == null) {
            rows.sinkTo(new DiscardingSink<>()).name(table);
            return;
        }
        KafkaRecordSerializationSchema<String> schema = KafkaRecordSerializationSchema.<String>builder()
                .setTopic(topic)
                .setValueSerializationSchema(new SimpleStringSchema())
                .build();
        rows.map(Row::toJson).returns(Types.STRING).sinkTo(KafkaSink.<String>builder()
                .setBootstrapServers(brokers)
                .setRecordSerializer(schema)
                .setDeliveryGuarantee(DeliveryGuarantee.AT_LEAST_ONCE)
                .build()).name(table);
    }

    void late(DataStream<?> events) {
        events.sinkTo(new DiscardingSink<>()).name("late");
    }
}
