package io.millstream.bench;

/** What one user, or several, did with one value of a dimension in one window. A POJO of Flink's. */
public class Views {
    public String dimension;
    public String value;
    public long pv;
    public long uv;

    public Views() {}

    public Views(String dimension, String value, long pv, long uv) {
        this.dimension = dimension;
        this.value = value;
        this.pv = pv;
        this.uv = uv;
    }

    boolean isOf(String dimension, String value) {
        return this.value.equals(value) && this.dimension.equals(dimension);
    }

    Views plus(Views other) {
        return new Views(dimension, value, pv + other.pv, uv + other.uv);
    }
}
