//! Kafka: one KRaft node, broker and controller in one, from the jars on Maven Central.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::kafka_admin::{self, NewTopic};
use crate::port::Port;
use crate::process::{Launch, Ready};
use crate::server::{Home, Server, owned};
use crate::tls::Certificate;
use crate::{cache, fetch, java, server};

/// The version that is fetched. 4.2.2 and 4.4.0 lack `kafka-tools`.
const VERSION: &str = "4.3.1";

/// A Kafka broker that creates topics only when told to.
#[derive(Debug)]
pub struct Kafka {
    server: Option<Server>,
    bootstrap: String,
    sasl: Option<String>,
    tls: Option<(String, Certificate)>,
}

/// What a [`Kafka`] is to be like.
#[derive(Debug, Default)]
pub struct KafkaBuilder {
    users: Vec<(String, String)>,
    tls: bool,
    settings: Vec<String>,
    home: Option<Home>,
}

/// The ports of a broker.
struct Ports {
    plain: Port,
    controller: Port,
    sasl: Option<Port>,
    tls: Option<Port>,
}

impl Kafka {
    /// Starts a broker of one's own: 3 to 6 s.
    ///
    /// # Errors
    /// If it cannot be fetched or does not start.
    pub fn start() -> Result<Self> {
        Self::builder().start()
    }

    /// Starts a broker of one's own, with options.
    pub fn builder() -> KafkaBuilder {
        KafkaBuilder::default()
    }

    /// The broker of all tests of this process, or of the whole run if `MILLSTREAM_TEST_KAFKA` names one by address.
    ///
    /// # Errors
    /// If it does not start.
    pub fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Result<Kafka, String>> = OnceLock::new();
        server::shared(&SHARED, "MILLSTREAM_TEST_KAFKA", Self::at, Self::start)
    }

    /// A broker that somebody else runs, to create topics on.
    pub fn at(bootstrap: String) -> Self {
        Self { server: None, bootstrap, sasl: None, tls: None }
    }

    /// `127.0.0.1:PORT` of the listener without login or encryption, which is always there.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// `127.0.0.1:PORT` of the listener with `SASL_PLAINTEXT` and mechanism `PLAIN`, if asked for.
    pub fn sasl_bootstrap(&self) -> Option<&str> {
        self.sasl.as_deref()
    }

    /// `127.0.0.1:PORT` of the listener with TLS, if asked for.
    pub fn tls_bootstrap(&self) -> Option<&str> {
        self.tls.as_ref().map(|(address, _)| address.as_str())
    }

    /// The files of the TLS listener; clients trust [`Certificate::ca`].
    pub fn certificate(&self) -> Option<&Certificate> {
        self.tls.as_ref().map(|(_, certificate)| certificate)
    }

    /// The process, to ask for its pid or log; `None` if somebody else runs it.
    pub fn server(&self) -> Option<&Server> {
        self.server.as_ref()
    }

    /// Creates topics, given as name and number of partitions, and waits until they have leaders.
    ///
    /// # Errors
    /// If one exists already, or the broker cannot be reached.
    pub fn create_topics(&self, topics: &[(&str, i32)]) -> Result<()> {
        let topics: Vec<_> =
            topics.iter().map(|(name, partitions)| NewTopic::new(name, *partitions)).collect();
        kafka_admin::create_topics(&self.bootstrap, &topics)
    }

    /// Creates one topic with settings such as `("max.message.bytes", "10485760")`.
    ///
    /// # Errors
    /// If it exists already, a setting is unknown, or the broker cannot be reached.
    pub fn create_topic_with(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) -> Result<()> {
        kafka_admin::create_topics(&self.bootstrap, &[NewTopic { name, partitions, settings }])
    }

    /// Stops it in good order; its data stays.
    ///
    /// # Errors
    /// If it is shared between test binaries, or does not end.
    pub fn stop(&mut self) -> Result<()> {
        owned(&mut self.server, "Kafka")?.stop()
    }

    /// Kills it as a crash would; its data stays.
    ///
    /// # Errors
    /// If it is shared between test binaries, or does not end.
    pub fn kill9(&mut self) -> Result<()> {
        owned(&mut self.server, "Kafka")?.kill9()
    }

    /// Starts it again on the same data and ports.
    ///
    /// # Errors
    /// If it is shared between test binaries, or does not start.
    pub fn restart(&mut self) -> Result<()> {
        owned(&mut self.server, "Kafka")?.restart()
    }
}

impl KafkaBuilder {
    /// Adds a listener on which clients log in, and a user for it.
    pub fn sasl(mut self, user: &str, password: &str) -> Self {
        self.users.push((user.to_owned(), password.to_owned()));
        self
    }

    /// Adds a listener with TLS.
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Any other line of `server.properties`: `.setting("message.max.bytes=2000000")`.
    pub fn setting(mut self, line: &str) -> Self {
        self.settings.push(line.to_owned());
        self
    }

    /// Where its data goes; a temporary directory if not said.
    pub fn home(mut self, home: Home) -> Self {
        self.home = Some(home);
        self
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// If it cannot be fetched or does not start.
    pub fn start(mut self) -> Result<Kafka> {
        let jars = fetch_jars()?;
        let home = self.home.take().map_or_else(|| Home::temporary("kafka"), Ok)?;
        let ports = Ports::reserve(!self.users.is_empty(), self.tls)?;
        let certificate = self.tls.then(|| Certificate::create(home.dir())).transpose()?;
        self.configure(home.dir(), &ports, certificate.as_ref())?;
        format(&jars, home.dir())?;
        let launch = launch(&jars, home.dir())?;
        let address = |port: &Port| format!("127.0.0.1:{}", port.number());
        let (bootstrap, sasl) = (address(&ports.plain), ports.sasl.as_ref().map(address));
        let tls = ports.tls.as_ref().map(address).zip(certificate);
        let server = Some(Server::start(launch, home, ports.into_vec())?);
        Ok(Kafka { server, bootstrap, sasl, tls })
    }

    fn configure(&self, dir: &Path, ports: &Ports, certificate: Option<&Certificate>) -> Result<()> {
        let controller = ports.controller.number();
        let mut listeners = vec![format!("PLAINTEXT://127.0.0.1:{}", ports.plain.number())];
        listeners.extend(ports.sasl.iter().map(|port| format!("SASL://127.0.0.1:{}", port.number())));
        listeners.extend(ports.tls.iter().map(|port| format!("TLS://127.0.0.1:{}", port.number())));
        let listeners = listeners.join(",");
        let mut lines = vec![
            format!("controller.quorum.voters=1@127.0.0.1:{controller}"),
            format!("listeners={listeners},CONTROLLER://127.0.0.1:{controller}"),
            format!("advertised.listeners={listeners}"),
            format!("log.dirs={}", dir.join("data").display()),
            SETTINGS.to_owned(),
        ];
        lines.extend(self.sasl_lines());
        lines.extend(certificate.map(tls_lines));
        lines.extend(self.settings.iter().cloned());
        fs::write(dir.join("server.properties"), lines.join("\n") + "\n")?;
        fs::write(dir.join("log4j2.properties"), LOG4J)?;
        Ok(())
    }

    fn sasl_lines(&self) -> Option<String> {
        if self.users.is_empty() {
            return None;
        }
        let user = |(name, password): &(String, String)| format!(" user_{name}=\"{password}\"");
        let users: String = self.users.iter().map(user).collect();
        let login = "org.apache.kafka.common.security.plain.PlainLoginModule required";
        let mechanism = "sasl.enabled.mechanisms=PLAIN";
        Some(format!("{mechanism}\nlistener.name.sasl.plain.sasl.jaas.config={login}{users};"))
    }
}

impl Ports {
    fn reserve(sasl: bool, tls: bool) -> Result<Self> {
        let (plain, controller) = (Port::reserve()?, Port::reserve()?);
        let sasl = sasl.then(Port::reserve).transpose()?;
        let tls = tls.then(Port::reserve).transpose()?;
        Ok(Self { plain, controller, sasl, tls })
    }

    fn into_vec(self) -> Vec<Port> {
        [Some(self.plain), Some(self.controller), self.sasl, self.tls].into_iter().flatten().collect()
    }
}

/// One node wants factors of 1. Kafka's defaults also drop a replay of old data after 7 days, refuse records from the
/// future, and take 17 s to come back after a crash.
const SETTINGS: &str = "\
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SSL
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

const LOG4J: &str = "\
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

fn fetch_jars() -> Result<PathBuf> {
    cache::once(&cache::dir()?, &format!("kafka-{VERSION}"), |target| {
        fetch::say(&format!("fetching Kafka {VERSION} (46 MB) by Maven"));
        fetch::maven_jars(&POM.replace("@VERSION@", VERSION), target)
    })
}

fn tls_lines(files: &Certificate) -> String {
    let keystore = "listener.name.tls.ssl.keystore";
    format!("{keystore}.type=PEM\n{keystore}.location={}", files.bundle.display())
}

/// Gives an empty data directory its cluster id; KRaft does not start without.
fn format(jars: &Path, dir: &Path) -> Result<()> {
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

fn launch(jars: &Path, dir: &Path) -> Result<Launch> {
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
