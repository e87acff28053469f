package io.millstream.flink;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Map;
import java.util.TreeMap;
import java.util.List;
import org.apache.flink.core.io.SimpleVersionedSerializer;

/** The form of an enumerator's checkpoint. */
final class EnumeratorStateSerializer implements SimpleVersionedSerializer<EnumeratorState> {
    private static final int VERSION = 1;

    @Override
    public int getVersion() {
        return VERSION;
    }

    @Override
    public byte[] serialize(EnumeratorState state) {
        WireWriter out = new WireWriter().writeBytes(state.snapshot).writeInt(state.pending.size());
        state.pending.forEach((subtask, assignments) -> {
            out.writeInt(subtask).writeInt(assignments.size());
            assignments.forEach(assignment -> out.writeBytes(assignment.bytes));
        });
        return out.toBytes();
    }

    @Override
    public EnumeratorState deserialize(int version, byte[] bytes) throws IOException {
        if (version != VERSION) {
            throw new IOException("Enumerator state of version " + version + " cannot be read by this job's jar.");
        }
        WireReader in = new WireReader(bytes);
        byte[] snapshot = in.readBytes();
        Map<Integer, List<Assignment>> pending = new TreeMap<>();
        for (int n = in.readInt(); n > 0; n--) {
            List<Assignment> assignments = new ArrayList<>();
            pending.put(in.readInt(), assignments);
            for (int m = in.readInt(); m > 0; m--) {
                assignments.add(new Assignment(in.readBytes()));
            }
        }
        return new EnumeratorState(snapshot, pending);
    }
}
