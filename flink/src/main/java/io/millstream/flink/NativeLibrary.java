package io.millstream.flink;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.StandardCopyOption;
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

    private static void loadCopy() throws IOException {
        Path copy = Files.createTempFile("millstream-", ".so");
        try {
            copyTo(copy);
            System.load(copy.toAbsolutePath().toString());
        } catch (UnsatisfiedLinkError e) {
            throw new IllegalStateException("The native library cannot be loaded: " + e.getMessage() + ". If it says"
                    + " 'failed to map segment', files in that folder must not be executed: name another folder by"
                    + " -Djava.io.tmpdir=FOLDER in env.java.opts.all.", e);
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
        try (InputStream library = NativeLibrary.class.getClassLoader().getResourceAsStream(resource)) {
            if (library == null) {
                throw new IOException("The jar has no " + resource + ": build it for this machine's architecture.");
            }
            Files.copy(library, target, StandardCopyOption.REPLACE_EXISTING);
        }
    }

    /** Rust's name of the architecture. */
    private static String architecture() {
        String name = System.getProperty("os.arch");
        return name.equals("amd64") ? "x86_64" : name;
    }
}
