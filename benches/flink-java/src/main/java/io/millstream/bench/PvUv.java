package io.millstream.bench;

/** Page views and distinct visitors of one value of one dimension. A POJO of Flink's. */
public class PvUv implements Row {
    public String granularity;
    public String dimension;
    public String value;
    public long windowStart;
    public long windowEnd;
    public long pv;
    public long uv;

    public PvUv() {}

    public PvUv(String granularity, Views views, long windowStart, long windowEnd) {
        this.granularity = granularity;
        this.dimension = views.dimension;
        this.value = views.value;
        this.windowStart = windowStart;
        this.windowEnd = windowEnd;
        this.pv = views.pv;
        this.uv = views.uv;
    }

    @Override
    public String toJson() {
        return "{\"table\":\"pv_uv\",\"granularity\":\"" + granularity + "\",\"dimension\":\"" + dimension
                + "\",\"value\":\"" + value + "\",\"window_start\":" + windowStart + ",\"window_end\":" + windowEnd
                + ",\"pv\":" + pv + ",\"uv\":" + uv + "}";
    }
}
