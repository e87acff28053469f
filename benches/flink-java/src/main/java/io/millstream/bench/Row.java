package io.millstream.bench;

/** A result. */
public interface Row {
    /** As it is written to Kafka. Ids hold nothing that JSON would escape. */
    String toJson();
}
