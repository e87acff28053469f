package io.millstream.bench;

import java.util.Comparator;

/** How often an item was seen in a window. A POJO of Flink's. */
public class ItemCount {
    /** Most events first, the smaller id first among equals: as numbers where both are, else as text. */
    static final Comparator<ItemCount> HOTTER =
            Comparator.<ItemCount>comparingLong(item -> -item.count).thenComparing(item -> item.itemId, ItemCount::byId);

    public String itemId;
    public long windowEnd;
    public long count;

    public ItemCount() {}

    public ItemCount(String itemId, long windowEnd, long count) {
        this.itemId = itemId;
        this.windowEnd = windowEnd;
        this.count = count;
    }

    private static int byId(String a, String b) {
        try {
            return Long.compareUnsigned(Long.parseUnsignedLong(a), Long.parseUnsignedLong(b));
        } catch (NumberFormatException notBothNumbers) {
            return a.compareTo(b);
        }
    }
}
