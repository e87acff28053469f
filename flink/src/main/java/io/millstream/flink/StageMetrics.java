package io.millstream.flink;

import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ScheduledFuture;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.Gauge;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.metrics.groups.OperatorIOMetricGroup;
import org.apache.flink.metrics.groups.OperatorMetricGroup;
import org.apache.flink.streaming.runtime.tasks.ProcessingTimeService;

/**
 * Shows in Flink what a stage counts. The task's thread copies the values once a second; reporters read the copies from
 * threads of their own.
 *
 * <p>Flink counts elements, and an element holds many records. The metrics {@code numRecordsIn} and {@code numRecordsOut}
 * of the stage as a whole, those without an operator's name, correct Flink's counters of the same names.
 */
final class StageMetrics {
    private static final long EVERY_MILLIS = 1000;
    private static final byte COUNTER = 0;

    private final StageDriver driver;
    private final OperatorMetricGroup group;
    private final Map<String, Value> values = new HashMap<>();
    private final Map<String, CorrectedCounter> corrected = new HashMap<>();
    private final ScheduledFuture<?> timer;

    StageMetrics(OperatorMetricGroup group, StageDriver driver, ProcessingTimeService time) {
        this.group = group;
        this.driver = driver;
        OperatorIOMetricGroup io = group.getIOMetricGroup();
        corrected.put("numRecordsIn", new CorrectedCounter(io.getNumRecordsInCounter()));
        corrected.put("numRecordsOut", new CorrectedCounter(io.getNumRecordsOutCounter()));
        timer = time.scheduleWithFixedDelay(now -> update(), EVERY_MILLIS, EVERY_MILLIS);
    }

    void close() {
        timer.cancel(false);
    }

    void update() {
        WireReader in = new WireReader(driver.metrics());
        for (int n = in.readInt(); n > 0; n--) {
            String operator = in.readString();
            for (int m = in.readInt(); m > 0; m--) {
                update(operator, in.readString(), in.readByte(), in.readDouble());
            }
        }
    }

    private void update(String operator, String name, byte kind, double value) {
        if (operator.isEmpty() && corrected.containsKey(name)) {
            corrected.get(name).set((long) value);
            return;
        }
        values.computeIfAbsent(operator + "\n" + name, key -> register(operator, name, kind)).value = value;
    }

    private Value register(String operator, String name, byte kind) {
        Value value = new Value();
        MetricGroup target = operator.isEmpty() ? group : group.addGroup("step", operator);
        if (kind == COUNTER) {
            target.counter(name, value);
        } else {
            target.gauge(name, (Gauge<Double>) () -> value.value);
        }
        return value;
    }

    /** A copy of a native value; read-only for Flink. */
    private static final class Value implements Counter {
        private volatile double value;

        @Override
        public long getCount() {
            return (long) value;
        }

        @Override
        public void inc() {}

        @Override
        public void inc(long n) {}

        @Override
        public void dec() {}

        @Override
        public void dec(long n) {}
    }

    /** A counter of Flink's that is brought to the native value: Flink goes on counting elements in between. */
    private static final class CorrectedCounter {
        private final Counter counter;

        CorrectedCounter(Counter counter) {
            this.counter = counter;
        }

        void set(long records) {
            counter.inc(records - counter.getCount());
        }
    }
}
