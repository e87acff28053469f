package io.millstream.flink;

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** Writes what the native side or a {@link WireReader} reads. */
final class WireWriter {
    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    private final DataOutputStream out = new DataOutputStream(bytes);

    private interface Write {
        void run() throws IOException;
    }

    private WireWriter write(Write write) {
        try {
            write.run();
        } catch (IOException e) {
            throw new UncheckedIOException("Writing into memory failed.", e);
        }
        return this;
    }

    WireWriter writeByte(int value) {
        return write(() -> out.writeByte(value));
    }

    WireWriter writeBoolean(boolean value) {
        return write(() -> out.writeBoolean(value));
    }

    WireWriter writeInt(int value) {
        return write(() -> out.writeInt(value));
    }

    WireWriter writeLong(long value) {
        return write(() -> out.writeLong(value));
    }

    /** A byte string; null is written as "there is none". */
    WireWriter writeBytes(byte[] value) {
        if (value == null) {
            return writeInt(-1);
        }
        return writeInt(value.length).write(() -> out.write(value));
    }

    WireWriter writeString(String value) {
        return writeBytes(value.getBytes(StandardCharsets.UTF_8));
    }

    WireWriter writeList(List<byte[]> items) {
        writeInt(items.size());
        items.forEach(this::writeBytes);
        return this;
    }

    byte[] toBytes() {
        return bytes.toByteArray();
    }
}
