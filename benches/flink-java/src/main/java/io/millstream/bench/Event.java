package io.millstream.bench;

/** The fields of an event that the metrics need. A POJO of Flink's. */
public class Event {
    public String userId = "";
    public String itemId = "";
    public String categoryId = "";
    public String behavior = "";
    public long timestamp;
    public String page = "";
    public String device = "";
    public String region = "";
}
