package io.millstream.flink;

import java.io.File;
import java.util.List;

/** Writes what {@link Native#openStage} must know about a subtask. */
final class StageRequest {
    private StageRequest() {}

    static byte[] of(
            StageSpec spec,
            TaskLayout layout,
            long epoch,
            File directory,
            boolean restored,
            StageLists lists,
            List<RestoredHandle> handles) throws Exception {
        WireWriter out = new WireWriter();
        out.writeInt(spec.stage);
        out.writeInt(layout.taskInfo().getIndexOfThisSubtask());
        out.writeInt(layout.taskInfo().getNumberOfParallelSubtasks());
        out.writeLong(epoch);
        out.writeLong(NativeMemory.perSlot(layout.environment().getTaskManagerInfo().getConfiguration()));
        out.writeString(directory.getAbsolutePath());
        writeOutEdges(out, spec, layout.routes());
        writeInEdges(out, spec, layout);
        out.writeBoolean(restored);
        lists.writeTo(out);
        out.writeInt(handles.size());
        handles.forEach(handle -> handle.writeTo(out));
        return out.toBytes();
    }

    private static void writeOutEdges(WireWriter out, StageSpec spec, int[] routes) {
        out.writeInt(routes.length);
        for (int i = 0; i < routes.length; i++) {
            out.writeInt(spec.outEdges.get(i).number).writeInt(routes[i]);
        }
    }

    private static void writeInEdges(WireWriter out, StageSpec spec, TaskLayout layout) {
        out.writeInt(spec.inEdges.size());
        for (int input = 0; input < spec.inEdges.size(); input++) {
            StageSpec.EdgeSpec edge = spec.inEdges.get(input);
            out.writeInt(edge.number);
            out.writeInt(layout.upstreams(input));
        }
    }
}
