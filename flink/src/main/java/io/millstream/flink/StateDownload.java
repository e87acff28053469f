package io.millstream.flink;

import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.Callable;
import org.apache.flink.core.fs.CloseableRegistry;
import org.apache.flink.runtime.state.IncrementalKeyedStateHandle.HandleAndLocalPath;
import org.apache.flink.runtime.state.IncrementalRemoteKeyedStateHandle;
import org.apache.flink.runtime.state.KeyGroupsStateHandle;
import org.apache.flink.runtime.state.KeyedStateHandle;
import org.apache.flink.runtime.state.StreamStateHandle;

/** Brings restored keyed state from the checkpoint storage to the local disk. */
final class StateDownload {
    private final CloseableRegistry registry;
    private final CanonicalRestore<?> canonical;

    StateDownload(CloseableRegistry registry, CanonicalRestore<?> canonical) {
        this.registry = registry;
        this.canonical = canonical;
    }

    /** Each handle gets a folder of its own below {@code directory}. */
    List<RestoredHandle> run(Collection<KeyedStateHandle> handles, File directory) throws Exception {
        List<RestoredHandle> restored = new ArrayList<>();
        for (KeyedStateHandle handle : handles) {
            File folder = new File(directory, "restored-" + restored.size());
            Files.createDirectories(folder.toPath());
            restored.add(restore(handle, folder));
        }
        return restored;
    }

    private RestoredHandle restore(KeyedStateHandle handle, File folder) throws Exception {
        if (handle instanceof IncrementalRemoteKeyedStateHandle) {
            return download((IncrementalRemoteKeyedStateHandle) handle, folder);
        }
        if (handle instanceof KeyGroupsStateHandle) {
            return canonical.run(handle, folder);
        }
        throw new IllegalStateException("The state to restore was written as " + handle.getClass().getSimpleName()
                + ", which is no state of this job's state backend.");
    }

    private RestoredHandle download(IncrementalRemoteKeyedStateHandle handle, File folder) throws Exception {
        List<Callable<Void>> tasks = new ArrayList<>();
        for (HandleAndLocalPath file : handle.getSharedState()) {
            tasks.add(() -> download(file, folder.toPath()));
        }
        for (HandleAndLocalPath file : handle.getPrivateState()) {
            tasks.add(() -> download(file, folder.toPath()));
        }
        Transfers.inParallel(tasks);
        ByteArrayOutputStream manifest = new ByteArrayOutputStream();
        copy(handle.getMetaDataStateHandle(), manifest);
        return new RestoredHandle(handle.getKeyGroupRange(), manifest.toByteArray(), folder);
    }

    private Void download(HandleAndLocalPath file, Path folder) throws IOException {
        Path target = folder.resolve(file.getLocalPath()).normalize();
        if (!target.startsWith(folder)) {
            throw new IOException("The state names a file outside its folder: " + file.getLocalPath());
        }
        Files.createDirectories(target.getParent());
        try (OutputStream out = Files.newOutputStream(target)) {
            copy(file.getHandle(), out);
        }
        return null;
    }

    private void copy(StreamStateHandle handle, OutputStream to) throws IOException {
        InputStream in = handle.openInputStream();
        registry.registerCloseable(in);
        try {
            Transfers.copy(in, to);
        } finally {
            registry.unregisterCloseable(in);
            in.close();
        }
    }
}
