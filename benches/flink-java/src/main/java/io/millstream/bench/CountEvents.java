package io.millstream.bench;

import org.apache.flink.api.common.functions.AggregateFunction;

/** Counts. */
public class CountEvents implements AggregateFunction<String, Long, Long> {
    @Override
    public Long createAccumulator() {
        return 0L;
    }

    @Override
    public Long add(String id, Long count) {
        return count + 1;
    }

    @Override
    public Long getResult(Long count) {
        return count;
    }

    @Override
    public Long merge(Long a, Long b) {
        return a + b;
    }
}
