//! HDFS' software and the settings that every test cluster has.

use std::ffi::OsString;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{cache, fetch, java};

pub(crate) const VERSION: &str = "3.5.0";

const POM: &str = r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>millstream</groupId><artifactId>hdfs</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.hadoop</groupId><artifactId>hadoop-common</artifactId><version>@VERSION@</version></dependency>
    <dependency><groupId>org.apache.hadoop</groupId><artifactId>hadoop-hdfs</artifactId><version>@VERSION@</version></dependency>
    <dependency><groupId>org.apache.hadoop</groupId><artifactId>hadoop-hdfs-client</artifactId><version>@VERSION@</version></dependency>
  </dependencies>
</project>
"#;

/// The defaults are made for large clusters: a dead DataNode is given up after 10 minutes, a small file is
/// closed after half a second, and a failed block reserves 128 MB for some minutes.
pub(crate) const SETTINGS: &[(&str, &str)] = &[
    ("hadoop.security.authentication", "simple"),
    ("hadoop.user.group.static.mapping.overrides", "dr.who=;"),
    ("ipc.client.connect.max.retries", "3"),
    ("ipc.client.connect.retry.interval", "200"),
    ("dfs.namenode.datanode.registration.ip-hostname-check", "false"),
    ("dfs.client.use.datanode.hostname", "false"),
    ("dfs.namenode.safemode.extension", "0"),
    ("dfs.heartbeat.interval", "1"),
    ("dfs.namenode.heartbeat.recheck-interval", "2000"),
    ("dfs.namenode.handler.count", "4"),
    ("dfs.datanode.handler.count", "4"),
    ("dfs.blocksize", "8388608"),
    ("dfs.namenode.redundancy.considerLoad", "false"),
    ("dfs.datanode.du.reserved", "0"),
    ("dfs.namenode.resource.du.reserved", "0"),
    ("dfs.namenode.fs-limits.min-block-size", "4096"),
    ("dfs.namenode.lease-recheck-interval-ms", "500"),
    ("dfs.blockreport.initialDelay", "0"),
    ("dfs.client.datanode-restart.timeout", "5"),
    // Only for blocks with two expected replicas or more, hence two DataNodes.
    ("dfs.namenode.file.close.num-committed-allowed", "1"),
];

const LOG4J: &str = "\
log4j.rootLogger=INFO,C
log4j.appender.C=org.apache.log4j.ConsoleAppender
log4j.appender.C.target=System.err
log4j.appender.C.layout=org.apache.log4j.PatternLayout
log4j.appender.C.layout.ConversionPattern=%d{ISO8601} %p %c{1}: %m%n
log4j.logger.org.apache.hadoop.util.NativeCodeLoader=ERROR
";

/// The directory with the jars.
pub(crate) fn fetch() -> Result<PathBuf> {
    cache::once(&cache::dir()?, &format!("hdfs-{VERSION}"), |target| {
        fetch::say(&format!("fetching HDFS {VERSION} (68 MB) by Maven"));
        fetch::maven_jars(&POM.replace("@VERSION@", VERSION), target)
    })
}

/// Writes the configuration of one process to `conf` in its directory.
pub(crate) fn configure(dir: &Path, settings: &[(&str, String)]) -> Result<()> {
    let conf = dir.join("conf");
    // The published jar lacks these, and the servers do not start without: empty ones on the class path will
    // do.
    for web in ["hdfs", "secondary", "datanode"] {
        fs::create_dir_all(conf.join("webapps").join(web))?;
    }
    let usual = SETTINGS.iter().map(|(name, value)| (*name, *value));
    let own = settings.iter().map(|(name, value)| (*name, value.as_str()));
    let xml = xml(usual.chain(own))?;
    fs::write(conf.join("core-site.xml"), &xml)?;
    fs::write(conf.join("hdfs-site.xml"), &xml)?;
    Ok(fs::write(conf.join("log4j.properties"), LOG4J)?)
}

/// Writes settings to a file of Hadoop's.
pub(crate) fn write_site(file: &Path, settings: &[(String, String)]) -> Result<()> {
    let settings = settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    fs::write(file, xml(settings)?).with_context(|| format!("cannot write {}", file.display()))
}

/// The command that runs `class` with the configuration in `dir`.
pub(crate) fn command(jars: &Path, dir: &Path, class: &str) -> Result<Vec<OsString>> {
    let mut command: Vec<OsString> = vec![java::program()?.into()];
    let options =
        ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx256m", "-Djava.net.preferIPv4Stack=true"];
    command.extend(options.map(Into::into));
    command.push("--add-opens=java.base/java.lang=ALL-UNNAMED".into());
    let mut path = dir.join("conf").into_os_string();
    path.push(":");
    path.push(jars.join("*"));
    command.extend(["-cp".into(), path, class.into()]);
    Ok(command)
}

/// Gives an empty NameNode its file system.
pub(crate) fn format(jars: &Path, dir: &Path) -> Result<()> {
    if dir.join("name/current/VERSION").exists() {
        return Ok(());
    }
    let words = command(jars, dir, "org.apache.hadoop.hdfs.server.namenode.NameNode")?;
    let (program, arguments) = words.split_first().context("a command has a program")?;
    let output = Command::new(program).args(arguments).args(["-format", "-nonInteractive"]).output()?;
    if !output.status.success() {
        bail!("cannot format the NameNode: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

fn xml<'a>(settings: impl Iterator<Item = (&'a str, &'a str)>) -> Result<String> {
    let mut text = "<configuration>\n".to_owned();
    for (name, value) in settings {
        writeln!(text, "<property><name>{name}</name><value>{value}</value></property>")?;
    }
    Ok(text + "</configuration>\n")
}
