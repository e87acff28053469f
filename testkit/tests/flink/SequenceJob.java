import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/**
 * Counts a sequence of numbers by key, slowly, with a checkpoint each half second.
 *
 * <p>Arguments: the last number of the sequence, and the number that the job fails at (-1: at none).
 */
public final class SequenceJob {
    private static final int KEYS = 100;
    private static final int NUMBERS_PER_PAUSE = 10;

    public static void main(String[] args) throws Exception {
        long last = Long.parseLong(args[0]);
        long broken = Long.parseLong(args[1]);
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
        env.enableCheckpointing(500);
        DataStream<Long> numbers = env.fromSequence(0, last).uid("numbers").name("numbers");
        numbers.keyBy(number -> number % KEYS)
                .process(new Count(broken))
                .uid("count")
                .name("count");
        env.execute("sequence");
    }

    private static final class Count extends KeyedProcessFunction<Long, Long, Long> {
        private static final long serialVersionUID = 1;
        private final long broken;
        private transient ValueState<Long> seen;

        private Count(long broken) {
            this.broken = broken;
        }

        @Override
        public void open(OpenContext context) {
            seen = getRuntimeContext().getState(new ValueStateDescriptor<>("seen", Long.class));
        }

        @Override
        public void processElement(Long number, Context context, Collector<Long> out) throws Exception {
            if (number == broken) {
                throw new IllegalStateException("the number " + number + " is broken");
            }
            Long count = seen.value();
            seen.update(count == null ? 1 : count + 1);
            if (number % NUMBERS_PER_PAUSE == 0) {
                Thread.sleep(1);
            }
            out.collect(number);
        }
    }
}
