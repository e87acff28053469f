package io.millstream.flink;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/**
 * Reads what the native side wrote: numbers big endian, texts and byte strings with an int for their length.
 */
final class WireReader {
    private final ByteBuffer buffer;

    WireReader(byte[] bytes) {
        buffer = ByteBuffer.wrap(bytes);
    }

    byte readByte() {
        return buffer.get();
    }

    boolean readBoolean() {
        return buffer.get() != 0;
    }

    int readInt() {
        return buffer.getInt();
    }

    long readLong() {
        return buffer.getLong();
    }

    double readDouble() {
        return buffer.getDouble();
    }

    /** A byte string, or null where the writer said that there is none. */
    byte[] readBytes() {
        int length = buffer.getInt();
        if (length < 0) {
            return null;
        }
        byte[] bytes = new byte[length];
        buffer.get(bytes);
        return bytes;
    }

    String readString() {
        return new String(readBytes(), StandardCharsets.UTF_8);
    }

    boolean isAtEnd() {
        return !buffer.hasRemaining();
    }
}
