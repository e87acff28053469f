package io.millstream.flink;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/** The plan of a pipeline, as the native side describes it. */
final class PlanDescription {
    final String jobName;
    final int keyGroups;
    /** What other processes need to make the same plan again. */
    final byte[] job;
    /** Flink's settings that follow from the job's configuration. */
    final Map<String, String> settings = new LinkedHashMap<>();
    /** What the user should read in the log. */
    final List<String> notes;
    final String backend;
    final List<Stage> stages;
    final List<Edge> edges;

    PlanDescription(byte[] bytes) {
        WireReader in = new WireReader(bytes);
        jobName = in.readString();
        keyGroups = in.readInt();
        job = in.readBytes();
        for (int n = in.readInt(); n > 0; n--) {
            settings.put(in.readString(), in.readString());
        }
        notes = readList(in, WireReader::readString);
        backend = in.readString();
        stages = readList(in, Stage::new);
        edges = readList(in, Edge::new);
    }

    private static <T> List<T> readList(WireReader in, Function<WireReader, T> read) {
        int size = in.readInt();
        List<T> list = new ArrayList<>(size);
        for (int i = 0; i < size; i++) {
            list.add(read.apply(in));
        }
        return list;
    }

    /** A chain of operators that runs as one Flink operator. */
    static final class Stage {
        final String name;
        final String uid;
        final int parallelism;
        /** The uid of the part of a source that brings its splits; empty for all other stages. */
        final String readerUid;
        final boolean keyed;

        private Stage(WireReader in) {
            name = in.readString();
            uid = in.readString();
            parallelism = in.readInt();
            readerUid = in.readString();
            keyed = in.readBoolean();
        }

        boolean isSource() {
            return !readerUid.isEmpty();
        }
    }

    /** A connection between two stages; its number is its place in {@link #edges}. */
    static final class Edge {
        final int from;
        final int to;
        final Exchange exchange;

        private Edge(WireReader in) {
            from = in.readInt();
            to = in.readInt();
            in.readInt(); // The input in the stage is the native side's own affair.
            exchange = Exchange.of(in.readByte());
        }
    }
}
