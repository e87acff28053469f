package io.millstream.flink;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.typeutils.base.array.BytePrimitiveArraySerializer;
import org.apache.flink.runtime.state.OperatorStateBackend;

/**
 * The lists in a stage's state, in Flink's operator state. Items of a split list are dealt out anew when the
 * parallelism changes; of the others every subtask gets all.
 *
 * <p>A vertex with union state completes no checkpoint while some of its subtasks have finished and others
 * have not. A source ends that way, so its stage registers union state only when there is something to keep.
 */
final class StageLists {
    private final List<Kind> kinds = Arrays.asList(
            new Kind("split-lists", false), new Kind("union-lists", true), new Kind("commits", true));

    void initialize(OperatorStateBackend backend, boolean source) throws Exception {
        for (Kind kind : kinds) {
            kind.backend = backend;
            boolean stored = backend.getRegisteredStateNames().contains(kind.name);
            if (stored || !kind.union || !source) {
                kind.restored = kind.read();
            }
        }
    }

    /** Writes the restored items of each kind. */
    void writeTo(WireWriter out) {
        kinds.forEach(kind -> out.writeList(kind.restored));
    }

    /** Frees the restored items. */
    void forget() {
        kinds.forEach(kind -> kind.restored = List.of());
    }

    /** Replaces the state by the answer of {@link Native#frozenLists}. */
    void update(byte[] frozenLists) throws Exception {
        WireReader in = new WireReader(frozenLists);
        for (Kind kind : kinds) {
            kind.update(readItems(in));
        }
    }

    private static List<byte[]> readItems(WireReader in) {
        List<byte[]> items = new ArrayList<>();
        for (int n = in.readInt(); n > 0; n--) {
            items.add(in.readBytes());
        }
        return items;
    }

    private static final class Kind {
        private final String name;
        private final boolean union;
        private OperatorStateBackend backend;
        /** Null while nothing had to be registered. */
        private ListState<byte[]> state;
        private List<byte[]> restored = List.of();

        Kind(String name, boolean union) {
            this.name = name;
            this.union = union;
        }

        private ListState<byte[]> state() throws Exception {
            if (state == null) {
                ListStateDescriptor<byte[]> descriptor =
                        new ListStateDescriptor<>(name, BytePrimitiveArraySerializer.INSTANCE);
                state = union ? backend.getUnionListState(descriptor) : backend.getListState(descriptor);
            }
            return state;
        }

        private List<byte[]> read() throws Exception {
            List<byte[]> items = new ArrayList<>();
            state().get().forEach(items::add);
            return items;
        }

        private void update(List<byte[]> items) throws Exception {
            if (state != null || !items.isEmpty()) {
                state().update(items);
            }
        }
    }
}
