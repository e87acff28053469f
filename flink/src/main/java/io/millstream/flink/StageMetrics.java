package io.millstream.flink;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ScheduledFuture;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.Gauge;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.metrics.groups.OperatorIOMetricGroup;
import org.apache.flink.metrics.groups.OperatorMetricGroup;
import org.apache.flink.runtime.metrics.groups.TaskIOMetricGroup;
import org.apache.flink.streaming.runtime.tasks.ProcessingTimeService;

/**
 * Shows in Flink what a stage counts. The task's thread copies the values once a second; reporters read the
 * copies from threads of their own.
 *
 * <p>Flink counts elements, and an element holds many records. The metrics {@code numRecordsIn} and {@code
 * numRecordsOut} of the stage as a whole, those without an operator's name, correct Flink's counters of the
 * same names, for the operator and for its task: Flink goes on counting elements in between.
 */
final class StageMetrics {
    private static final long EVERY_MILLIS = 1000;
    private static final byte COUNTER = 0;

    private final StageDriver driver;
    private final OperatorMetricGroup group;
    private final Map<String, Value> values = new HashMap<>();
    private final Map<String, List<Counter>> corrected = new HashMap<>();
    private final ScheduledFuture<?> timer;

    StageMetrics(
            OperatorMetricGroup group, TaskIOMetricGroup task, StageDriver driver, ProcessingTimeService time) {
        this.group = group;
        this.driver = driver;
        OperatorIOMetricGroup io = group.getIOMetricGroup();
        // A task's counter may include its operator's, so the operator's is corrected first.
        corrected.put("numRecordsIn", List.of(io.getNumRecordsInCounter(), task.getNumRecordsInCounter()));
        corrected.put("numRecordsOut", List.of(io.getNumRecordsOutCounter(), task.getNumRecordsOutCounter()));
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
            corrected.get(name).forEach(counter -> counter.inc((long) value - counter.getCount()));
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
}
