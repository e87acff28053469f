package io.millstream.flink;

import java.io.IOException;
import java.io.InputStream;
import java.net.URL;
import java.net.URLConnection;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.StandardCopyOption;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Loads the pipeline's native library, once per class loader.
 *
 * <p>The JVM binds a library's file to one class loader, and Flink makes a class loader per job. So each
 * loader takes a private copy and deletes it as soon as it is mapped.
 */
final class NativeLibrary {
    private static final Logger LOG = LoggerFactory.getLogger(NativeLibrary.class);

    /** Overrides the library in the jar, for development. */
    static final String PATH_PROPERTY = "millstream.native";

    /** The same as {@link #PATH_PROPERTY}, as an environment variable. */
    static final String PATH_VARIABLE = "MILLSTREAM_NATIVE";

    private static boolean loaded;

    private NativeLibrary() {}

    /**
     * Loads the library if this class loader has not done so yet. This is no static initialiser on purpose: a
     * failure there would poison the class, and later attempts would only say that the class cannot be found.
     */
    static synchronized void load() {
        if (loaded) {
            return;
        }
        try {
            loadCopy();
        } catch (IOException e) {
            throw new IllegalStateException("The native library could not be copied to a file in "
                    + System.getProperty("java.io.tmpdir") + ".", e);
        }
        Native.startLogs(NativeLog.level());
        LOG.info("The native library of the pipeline is loaded: {}.", Native.version());
        loaded = true;
    }

    /**
     * Makes a native call on a thread of its own, with the library loaded. Native code leaves values behind on
     * the threads that it runs on, and the library stays in memory until they have ended. The JobManager's own
     * threads never end: there, every call is made like this, or on a thread that ends with the job.
     */
    static <T> T apart(Supplier<T> nativeCall) {
        CompletableFuture<T> result = new CompletableFuture<>();
        new Thread(() -> {
            try {
                load();
                result.complete(nativeCall.get());
            } catch (Throwable e) {
                result.completeExceptionally(e);
            }
        }, "millstream-native").start();
        try {
            return result.join();
        } catch (CompletionException e) {
            if (e.getCause() instanceof RuntimeException) {
                throw (RuntimeException) e.getCause();
            }
            throw e;
        }
    }

    private static void loadCopy() throws IOException {
        Path copy = Files.createTempFile("millstream-", ".so");
        try {
            copyTo(copy);
            System.load(copy.toAbsolutePath().toString());
        } catch (UnsatisfiedLinkError e) {
            throw new IllegalStateException(
                    "The native library of the pipeline cannot be loaded: "
                            + e.getMessage()
                            + ". If the folder is mounted with noexec, choose another one with -Djava.io.tmpdir=FOLDER"
                            + " in env.java.opts.all. If a version of GLIBC or a shared library is missing, build"
                            + " the jar for this machine with `cargo xtask flink --target`.",
                    e);
        } finally {
            Files.deleteIfExists(copy);
        }
    }

    private static void copyTo(Path target) throws IOException {
        String override = System.getProperty(PATH_PROPERTY, System.getenv(PATH_VARIABLE));
        if (override != null) {
            Files.copy(Paths.get(override), target, StandardCopyOption.REPLACE_EXISTING);
            return;
        }
        String resource = "native/linux-" + architecture() + "/libpipeline.so";
        try (InputStream library = open(NativeLibrary.class.getClassLoader(), resource)) {
            Files.copy(library, target, StandardCopyOption.REPLACE_EXISTING);
        }
    }

    /**
     * Opens a file of the jar. All class loaders of a JVM share the opened jars of a cache, and whichever is
     * closed first, such as that of the job's attempt before this one, closes them for the others: so the jar is
     * opened once more.
     */
    static InputStream open(ClassLoader loader, String resource) throws IOException {
        URL url = loader.getResource(resource);
        if (url == null) {
            throw new IOException(
                    "The jar has no " + resource + ": build it for this machine with `cargo xtask flink --target`.");
        }
        URLConnection connection = url.openConnection();
        connection.setUseCaches(false);
        return connection.getInputStream();
    }

    /** Rust's name of the architecture. */
    private static String architecture() {
        String name = System.getProperty("os.arch");
        return name.equals("amd64") ? "x86_64" : name;
    }
}
