package io.millstream.bench;

/** Counted events of one user in one minute. A POJO of Flink's. */
public class UserClicks implements Row {
    public String userId;
    public long windowStart;
    public long windowEnd;
    public long count;

    public UserClicks() {}

    public UserClicks(String userId, long windowStart, long windowEnd, long count) {
        this.userId = userId;
        this.windowStart = windowStart;
        this.windowEnd = windowEnd;
        this.count = count;
    }

    @Override
    public String toJson() {
        return "{\"table\":\"user_clicks\",\"user_id\":\"" + userId + "\",\"window_start\":" + windowStart
                + ",\"window_end\":" + windowEnd + ",\"count\":" + count + "}";
    }
}
