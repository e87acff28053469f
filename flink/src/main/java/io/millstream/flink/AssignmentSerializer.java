package io.millstream.flink;

import java.io.IOException;
import org.apache.flink.core.io.SimpleVersionedSerializer;

/** The native side versions its own bytes. */
final class AssignmentSerializer implements SimpleVersionedSerializer<Assignment> {
    private static final int VERSION = 1;

    @Override
    public int getVersion() {
        return VERSION;
    }

    @Override
    public byte[] serialize(Assignment assignment) {
        return assignment.bytes;
    }

    @Override
    public Assignment deserialize(int version, byte[] bytes) throws IOException {
        if (version != VERSION) {
            throw new IOException("Assignments of version " + version + " cannot be read by this job's jar.");
        }
        return new Assignment(bytes);
    }
}
