package io.millstream.flink;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.io.InputStream;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class NativeLibraryTest {
    private static final String RESOURCE = "native/library.so";

    @TempDir Path dir;

    @Test
    void anotherClassLoaderOfTheSameJarMayCloseWhileTheLibraryIsCopied() throws Exception {
        byte[] content = new byte[1 << 20];
        new Random(1).nextBytes(content);
        try (URLClassLoader ending = loader(content);
                URLClassLoader starting = loader(content);
                InputStream others = ending.getResourceAsStream(RESOURCE);
                InputStream library = NativeLibrary.open(starting, RESOURCE)) {
            byte[] begin = library.readNBytes(1000);
            others.read();
            ending.close();
            byte[] end = library.readAllBytes();
            byte[] read = new byte[content.length];
            System.arraycopy(begin, 0, read, 0, begin.length);
            System.arraycopy(end, 0, read, begin.length, end.length);
            assertArrayEquals(content, read);
        }
    }

    @Test
    void aJarWithoutTheLibraryOfThisMachineIsAnError() throws Exception {
        try (URLClassLoader loader = loader(new byte[1])) {
            assertThrows(IOException.class, () -> NativeLibrary.open(loader, "native/another.so"));
        }
    }

    private URLClassLoader loader(byte[] content) throws IOException {
        Path jar = dir.resolve("pipeline.jar");
        if (!Files.exists(jar)) {
            try (ZipOutputStream zip = new ZipOutputStream(Files.newOutputStream(jar))) {
                zip.putNextEntry(new ZipEntry(RESOURCE));
                zip.write(content);
            }
        }
        return new URLClassLoader(new URL[] {jar.toUri().toURL()}, null);
    }
}
