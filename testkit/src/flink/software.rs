//! Flink's software: the jars of a distribution, as the Python package carries them. Maven Central's
//! `flink-dist` is not everywhere to be had, and the package has no scripts: the processes are started by the
//! names of their classes.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{cache, fetch, hdfs_software};

/// Which Flink it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FlinkVersion {
    /// 1.20, the last release of Flink 1 with long support.
    V1_20,
    /// 2.0.
    V2_0,
    /// 2.1.
    V2_1,
    /// 2.2.
    #[default]
    V2_2,
    /// 2.3.
    V2_3,
}

impl FlinkVersion {
    /// All of them, oldest first.
    pub const ALL: [Self; 5] = [Self::V1_20, Self::V2_0, Self::V2_1, Self::V2_2, Self::V2_3];

    /// The release that is fetched.
    pub fn number(self) -> &'static str {
        match self {
            Self::V1_20 => "1.20.3",
            Self::V2_0 => "2.0.2",
            Self::V2_1 => "2.1.3",
            Self::V2_2 => "2.2.1",
            Self::V2_3 => "2.3.0",
        }
    }

    /// The version with this [`number`](Self::number).
    pub fn by_number(number: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.number() == number)
    }

    /// A directory with Flink's own layout: the jars of its class path in `lib`, its plugins in `plugins`.
    /// Fetched if that has not been done.
    ///
    /// # Errors
    /// If it cannot be fetched.
    pub fn software(self) -> Result<PathBuf> {
        let number = self.number();
        cache::once(&cache::dir()?, &format!("flink-{number}"), |target| {
            fetch::say(&format!("fetching Flink {number} (about 300 MB) by pip"));
            unpack(&format!("apache-flink-libraries=={number}"), target)
        })
    }

    /// A directory with Flink's plugin for `s3://` URLs, the one built on Hadoop's S3A. Fetched if that has
    /// not been done.
    ///
    /// # Errors
    /// If it cannot be fetched.
    pub(crate) fn s3_plugin(self) -> Result<PathBuf> {
        let number = self.s3_plugin_number();
        cache::once(&cache::dir()?, &format!("flink-s3-fs-hadoop-{number}"), |target| {
            fetch::say(&format!("fetching Flink's S3 plugin {number} (31 MB) by Maven"));
            fetch::maven_jar(&format!("org.apache.flink:flink-s3-fs-hadoop:{number}"), target)
        })
    }

    /// Not every release of the plugin is everywhere to be had; all of one minor version fit.
    fn s3_plugin_number(self) -> &'static str {
        match self {
            Self::V1_20 => "1.20.0",
            Self::V2_0 => "2.0.0",
            Self::V2_1 => "2.1.0",
            Self::V2_2 => "2.2.0",
            Self::V2_3 => "2.3.0",
        }
    }

    /// The jar to compile a job against. It holds all of Flink but the connectors.
    ///
    /// # Errors
    /// If it cannot be fetched.
    pub fn dist_jar(self) -> Result<PathBuf> {
        let jar = self.software()?.join("lib").join(format!("flink-dist-{}.jar", self.number()));
        ensure!(jar.is_file(), "the package of Flink {} has no {}", self.number(), jar.display());
        Ok(jar)
    }
}

/// Newer versions come as a wheel, a zip file with `pyflink/lib`; 1.20 comes as a source archive with
/// `deps/lib`.
fn unpack(package: &str, target: &Path) -> Result<()> {
    let download = target.join("download");
    let archive = fetch::pip_download(package, &download)?;
    let wheel = archive.extension().is_some_and(|extension| extension == "whl");
    if wheel {
        let mut unzip = Command::new(fetch::apt("python3", "python3")?);
        unzip.args(["-m", "zipfile", "-e"]).arg(&archive).arg(&download);
        fetch::run(&mut unzip, "python3 -m zipfile")?;
    } else {
        let mut tar = Command::new("tar");
        tar.arg("-xf").arg(&archive).arg("--strip-components=1").arg("-C").arg(&download);
        fetch::run(&mut tar, "tar")?;
    }
    let content = download.join(if wheel { "pyflink" } else { "deps" });
    for part in ["lib", "plugins"] {
        fs::rename(content.join(part), target.join(part))
            .with_context(|| format!("{package} has no directory {part}"))?;
    }
    fs::remove_dir_all(&download).with_context(|| format!("cannot remove {}", download.display()))
}

/// What Flink's own configuration file opens of a JDK 17 for Kryo, Netty and its memory manager.
pub(crate) fn opens() -> impl Iterator<Item = OsString> {
    const BASE: [&str; 12] = [
        "java.lang",
        "java.lang.reflect",
        "java.io",
        "java.net",
        "java.nio",
        "sun.nio.ch",
        "java.text",
        "java.time",
        "java.util",
        "java.util.concurrent",
        "java.util.concurrent.atomic",
        "java.util.concurrent.locks",
    ];
    const EXPORTS: [&str; 3] = [
        "java.management/sun.management",
        "java.rmi/sun.rmi.registry",
        "java.security.jgss/sun.security.krb5",
    ];
    let opens = BASE.iter().map(|package| format!("--add-opens=java.base/{package}=ALL-UNNAMED"));
    let exports = EXPORTS.iter().map(|package| format!("--add-exports={package}=ALL-UNNAMED"));
    opens.chain(exports).map(Into::into)
}

/// Hadoop's clients, shaded, for HDFS from Flink.
pub(crate) fn hadoop() -> Result<PathBuf> {
    let version = hdfs_software::VERSION;
    cache::once(&cache::dir()?, &format!("flink-hadoop-{version}"), |target| {
        fetch::say(&format!("fetching Hadoop's clients {version} (50 MB) for Flink by Maven"));
        fetch::maven_jars(&HADOOP_POM.replace("@VERSION@", version), target)
    })
}

// Flink brings SLF4J.
const HADOOP_POM: &str = r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>millstream</groupId><artifactId>flink-hadoop</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.hadoop</groupId><artifactId>hadoop-client-api</artifactId><version>@VERSION@</version></dependency>
    <dependency>
      <groupId>org.apache.hadoop</groupId><artifactId>hadoop-client-runtime</artifactId><version>@VERSION@</version>
      <exclusions>
        <exclusion><groupId>org.slf4j</groupId><artifactId>slf4j-api</artifactId></exclusion>
      </exclusions>
    </dependency>
  </dependencies>
</project>
"#;
