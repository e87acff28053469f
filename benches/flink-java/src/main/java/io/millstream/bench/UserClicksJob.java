package io.millstream.bench;

import java.time.Duration;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.functions.windowing.WindowFunction;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;

/** Counts the events of each user in windows of a minute. */
final class UserClicksJob {
    private UserClicksJob() {}

    static void build(SingleOutputStreamOperator<Event> events, Outputs outputs) {
        // Only the id travels.
        SingleOutputStreamOperator<String> users = events.map(event -> event.userId).returns(Types.STRING);
        WindowFunction<Long, UserClicks, String, TimeWindow> row = (user, window, counts, out) ->
                out.collect(new UserClicks(user, window.getStart(), window.getEnd(), counts.iterator().next()));
        SingleOutputStreamOperator<UserClicks> clicks = users.keyBy(user -> user, Types.STRING)
                .window(TumblingEventTimeWindows.of(Duration.ofMinutes(1)))
                .sideOutputLateData(Outputs.LATE_IDS)
                .aggregate(new CountEvents(), row, Types.LONG, Types.POJO(UserClicks.class));
        outputs.late(clicks.getSideOutput(Outputs.LATE_IDS));
        outputs.rows("user_clicks", clicks);
    }
}
