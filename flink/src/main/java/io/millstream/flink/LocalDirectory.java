package io.millstream.flink;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.UUID;
import org.apache.flink.runtime.execution.Environment;
import org.apache.flink.util.FileUtils;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The private folder of a subtask on the TaskManager's disk; it lives as long as the operator. */
final class LocalDirectory {
    private static final Logger LOG = LoggerFactory.getLogger(LocalDirectory.class);

    private final File path;

    private LocalDirectory(File path) {
        this.path = path;
    }

    /** Subtasks are spread over the folders that the TaskManager was given for temporary files. */
    static LocalDirectory create(Environment environment, StageSpec spec) throws IOException {
        String[] roots = environment.getTaskManagerInfo().getTmpDirectories();
        int subtask = environment.getTaskInfo().getIndexOfThisSubtask();
        String root = roots[Math.floorMod(spec.stage + subtask, roots.length)];
        String name = "millstream-" + environment.getJobID() + "-" + spec.stage + "-" + subtask + "-" + UUID.randomUUID();
        Path path = Files.createDirectories(new File(root, name).toPath());
        return new LocalDirectory(path.toFile());
    }

    File path() {
        return path;
    }

    /** Leftovers cost space but no correctness, so a failure is only logged. */
    void delete() {
        try {
            FileUtils.deleteDirectory(path);
        } catch (IOException e) {
            LOG.warn("The local folder {} could not be deleted.", path, e);
        }
    }
}
