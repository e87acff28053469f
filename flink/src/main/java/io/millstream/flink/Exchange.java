package io.millstream.flink;

/** How elements travel along an edge. The order is that of the native side's numbers. */
enum Exchange {
    /** To the subtask that owns the key group. */
    HASH,
    /** To the subtask that the sender names. */
    ROUTE;

    static Exchange of(byte number) {
        if (number < 0 || number >= values().length) {
            throw new IllegalArgumentException("The plan names an exchange " + number + ", which is unknown.");
        }
        return values()[number];
    }
}
