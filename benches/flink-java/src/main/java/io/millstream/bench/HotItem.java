package io.millstream.bench;

/** One place of the ranking of items. A POJO of Flink's. */
public class HotItem implements Row {
    public long windowEnd;
    public int rank;
    public String itemId;
    public long count;

    public HotItem() {}

    public HotItem(long windowEnd, int rank, String itemId, long count) {
        this.windowEnd = windowEnd;
        this.rank = rank;
        this.itemId = itemId;
        this.count = count;
    }

    @Override
    public String toJson() {
        return "{\"table\":\"hot_items\",\"window_end\":" + windowEnd + ",\"rank\":" + rank + ",\"item_id\":\""
                + itemId + "\",\"count\":" + count + "}";
    }
}
