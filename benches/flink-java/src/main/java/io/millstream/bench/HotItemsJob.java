package io.millstream.bench;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.functions.windowing.WindowFunction;
import org.apache.flink.streaming.api.windowing.assigners.SlidingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;

/** Ranks the items with the most events of the last hour, every five minutes. */
final class HotItemsJob {
    private static final Duration WINDOW = Duration.ofHours(1);
    private static final Duration SLIDE = Duration.ofMinutes(5);
    private static final int PLACES = 3;

    private HotItemsJob() {}

    static void build(SingleOutputStreamOperator<Event> events, Outputs outputs) {
        // Only the id travels.
        SingleOutputStreamOperator<String> items = events.map(event -> event.itemId).returns(Types.STRING);
        WindowFunction<Long, ItemCount, String, TimeWindow> count = (item, window, counts, out) ->
                out.collect(new ItemCount(item, window.getEnd(), counts.iterator().next()));
        SingleOutputStreamOperator<ItemCount> counts = items.keyBy(item -> item, Types.STRING)
                .window(SlidingEventTimeWindows.of(WINDOW, SLIDE))
                .sideOutputLateData(Outputs.LATE_IDS)
                .aggregate(new CountEvents(), count, Types.LONG, Types.POJO(ItemCount.class));
        outputs.late(counts.getSideOutput(Outputs.LATE_IDS));
        WindowFunction<List<ItemCount>, HotItem, Long, TimeWindow> rows = (end, window, best, out) -> {
            int rank = 1;
            for (ItemCount item : best.iterator().next()) {
                out.collect(new HotItem(end, rank++, item.itemId, item.count));
            }
        };
        // All counts of one window carry its last millisecond: a window of one slide holds exactly those.
        SingleOutputStreamOperator<HotItem> ranking = counts.keyBy(item -> item.windowEnd, Types.LONG)
                .window(TumblingEventTimeWindows.of(SLIDE))
                .aggregate(new Best(), rows, Types.LIST(Types.POJO(ItemCount.class)), Types.POJO(HotItem.class));
        outputs.rows("hot_items", ranking);
    }

    /** Keeps the hottest ones, in order. */
    static final class Best implements AggregateFunction<ItemCount, List<ItemCount>, List<ItemCount>> {
        @Override
        public List<ItemCount> createAccumulator() {
            return new ArrayList<>(PLACES + 1);
        }

        @Override
        public List<ItemCount> add(ItemCount item, List<ItemCount> best) {
            if (best.size() == PLACES && ItemCount.HOTTER.compare(best.get(PLACES - 1), item) <= 0) {
                return best;
            }
            best.add(item);
            best.sort(ItemCount.HOTTER);
            if (best.size() > PLACES) {
                best.remove(PLACES);
            }
            return best;
        }

        @Override
        public List<ItemCount> getResult(List<ItemCount> best) {
            return best;
        }

        @Override
        public List<ItemCount> merge(List<ItemCount> a, List<ItemCount> b) {
            b.forEach(item -> add(item, a));
            return a;
        }
    }
}
