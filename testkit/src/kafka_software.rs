//! Kafka's software and the settings that every test broker has.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::process::{Launch, Ready};
use crate::tls::Certificate;
use crate::{cache, fetch, java};

/// The version that is fetched. 4.2.2 and 4.4.0 lack `kafka-tools`.
const VERSION: &str = "4.3.1";

/// One node wants factors of 1. Kafka's defaults also drop a replay of old data after 7 days, refuse records
/// from the future, and take 17 s to come back after a crash.
pub(crate) const SETTINGS: &str = "\
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SSL,ASTRAY:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=5
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=5
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=5
group.initial.rebalance.delay.ms=0
log.retention.ms=-1
log.message.timestamp.after.max.ms=9223372036854775807
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=2000
controller.quorum.election.timeout.ms=200
controller.quorum.election.backoff.max.ms=200
controller.quorum.fetch.timeout.ms=500";

/// The log goes to standard output.
pub(crate) const LOG4J: &str = "\
status=warn
appender.c.type=Console
appender.c.name=C
appender.c.layout.type=PatternLayout
appender.c.layout.pattern=[%d] %p %m (%c{1})%n
rootLogger.level=info
rootLogger.appenderRef.c.ref=C
";

/// Without Connect, which `kafka-tools` would bring and nobody needs here.
const POM: &str = r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>millstream</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>@VERSION@</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>@VERSION@</version>
      <exclusions>
        <exclusion><groupId>org.apache.kafka</groupId><artifactId>connect-runtime</artifactId></exclusion>
        <exclusion><groupId>org.apache.kafka</groupId><artifactId>connect-json</artifactId></exclusion>
        <exclusion><groupId>org.apache.kafka</groupId><artifactId>connect-api</artifactId></exclusion>
      </exclusions>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.5</version>
    </dependency>
  </dependencies>
</project>
"#;

/// The directory with the jars.
pub(crate) fn fetch() -> Result<PathBuf> {
    cache::once(&cache::dir()?, &format!("kafka-{VERSION}"), |target| {
        fetch::say(&format!("fetching Kafka {VERSION} (46 MB) by Maven"));
        fetch::maven_jars(&POM.replace("@VERSION@", VERSION), target)
    })
}

/// The settings of the TLS listener.
pub(crate) fn tls_lines(files: &Certificate) -> String {
    let keystore = "listener.name.tls.ssl.keystore";
    format!("{keystore}.type=PEM\n{keystore}.location={}", files.bundle.display())
}

/// Gives an empty data directory its cluster id; KRaft does not start without.
pub(crate) fn format(jars: &Path, dir: &Path) -> Result<()> {
    if dir.join("data/meta.properties").exists() {
        return Ok(());
    }
    // A cluster id is 16 bytes in base64; any will do, since no two of these brokers ever meet.
    let id = URL_SAFE_NO_PAD.encode(b"millstream-tests");
    let mut command = Command::new(java::program()?);
    command.args(["-Xmx128m", "-XX:TieredStopAtLevel=1"]).args(class_path(jars, dir));
    command.args(["kafka.tools.StorageTool", "format", "-t", &id, "-c"]).arg(dir.join("server.properties"));
    let output = command.output().context("cannot run java")?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stdout);
        bail!("cannot format Kafka's storage: {text}{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// How the broker configured in `dir` is started.
pub(crate) fn launch(jars: &Path, dir: &Path) -> Result<Launch> {
    let mut command: Vec<OsString> = vec![java::program()?.into()];
    command.extend(["-Xms128m", "-Xmx512m", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"].map(Into::into));
    command.extend(class_path(jars, dir));
    command.extend(["kafka.Kafka".into(), dir.join("server.properties").into()]);
    Ok(Launch {
        name: format!("Kafka {VERSION}"),
        command,
        env: Vec::new(),
        dir: dir.to_owned(),
        refuses_root: false,
        ready: Ready::Log("Kafka Server started"),
        patience: Duration::from_secs(90),
    })
}

fn class_path(jars: &Path, dir: &Path) -> [OsString; 3] {
    let mut log4j = OsString::from("-Dlog4j2.configurationFile=");
    log4j.push(dir.join("log4j2.properties"));
    [log4j, "-cp".into(), jars.join("*").into()]
}
