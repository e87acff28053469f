package io.millstream.flink;

import org.apache.flink.api.connector.source.SourceSplit;

/**
 * What the native enumerator assigned to a reader, as FLIP-27 wants it: a "split". The real splits are inside
 * and become state of the stage, so a reader never gives one of these back in a snapshot.
 */
final class Assignment implements SourceSplit {
    final byte[] bytes;

    Assignment(byte[] bytes) {
        this.bytes = bytes;
    }

    /** Flink keeps an output per id, so all assignments share one. */
    @Override
    public String splitId() {
        return "assignment";
    }

    boolean isLast() {
        return Native.isLast(bytes);
    }
}
