package io.millstream.bench;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.functions.windowing.WindowFunction;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;

/**
 * Page views and unique visitors, overall and by dimension, in two steps: each user's views under the user's key,
 * where a user counts once; then their sums. One step would put the distinct users of all under a single key.
 */
final class PvUvJob {
    private PvUvJob() {}

    static void build(SingleOutputStreamOperator<Event> events, Outputs outputs) {
        SingleOutputStreamOperator<PvUv> minutes = granularity(events, outputs, "1min", Duration.ofMinutes(1));
        SingleOutputStreamOperator<PvUv> hours = granularity(events, outputs, "1h", Duration.ofHours(1));
        outputs.rows("pv_uv", minutes.union(hours));
    }

    private static SingleOutputStreamOperator<PvUv> granularity(
            SingleOutputStreamOperator<Event> events, Outputs outputs, String name, Duration size) {
        WindowFunction<List<Views>, Views, String, TimeWindow> views =
                (user, window, all, out) -> all.iterator().next().forEach(out::collect);
        SingleOutputStreamOperator<Views> perUser = events.keyBy(event -> event.userId, Types.STRING)
                .window(TumblingEventTimeWindows.of(size))
                .sideOutputLateData(Outputs.LATE_EVENTS)
                .aggregate(new PerUser(), views, Types.LIST(Types.POJO(Views.class)), Types.POJO(Views.class));
        outputs.late(perUser.getSideOutput(Outputs.LATE_EVENTS));
        WindowFunction<Views, PvUv, Tuple2<String, String>, TimeWindow> row = (key, window, sums, out) ->
                out.collect(new PvUv(name, sums.iterator().next(), window.getStart(), window.getEnd()));
        return perUser.keyBy(sum -> Tuple2.of(sum.dimension, sum.value), Types.TUPLE(Types.STRING, Types.STRING))
                .window(TumblingEventTimeWindows.of(size))
                .reduce(Views::plus, row, Types.POJO(PvUv.class));
    }

    /** Counts the views of one user by dimension and value, of which a user has few. */
    static final class PerUser implements AggregateFunction<Event, List<Views>, List<Views>> {
        @Override
        public List<Views> createAccumulator() {
            return new ArrayList<>();
        }

        @Override
        public List<Views> add(Event event, List<Views> views) {
            count(views, "all", "all", 1);
            count(views, "category", event.categoryId, 1);
            count(views, "page", event.page, 1);
            count(views, "device", event.device, 1);
            count(views, "region", event.region, 1);
            return views;
        }

        @Override
        public List<Views> getResult(List<Views> views) {
            return views;
        }

        @Override
        public List<Views> merge(List<Views> a, List<Views> b) {
            b.forEach(view -> count(a, view.dimension, view.value, view.pv));
            return a;
        }

        private static void count(List<Views> views, String dimension, String value, long pv) {
            if (value.isEmpty()) {
                return;
            }
            for (int i = 0; i < views.size(); i++) {
                if (views.get(i).isOf(dimension, value)) {
                    views.get(i).pv += pv;
                    return;
                }
            }
            views.add(new Views(dimension, value, pv, 1));
        }
    }
}
