//! Kafka: one KRaft node, broker and controller in one, from the jars on Maven Central.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use anyhow::Result;

use crate::handle::{handle, placed};
use crate::kafka_admin::{self, NewTopic};
use crate::port::Port;
use crate::server::{Home, Server};
use crate::tls::Certificate;
use crate::{kafka_software, server};

/// A Kafka broker that creates topics only when told to.
#[derive(Debug)]
pub struct Kafka {
    server: Option<Server>,
    bootstrap: String,
    sasl: Option<String>,
    tls: Option<(String, Certificate)>,
    astray: Option<String>,
}

/// What a user may do with a topic; each of them lets the user see it, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicRight {
    /// Read its messages.
    Read,
    /// Write messages.
    Write,
    /// See that it is there, and no more.
    Describe,
}

impl TopicRight {
    fn operation(self) -> i8 {
        match self {
            Self::Read => 3,
            Self::Write => 4,
            Self::Describe => 8,
        }
    }
}

/// What a [`Kafka`] is to be like.
#[derive(Debug, Default)]
pub struct KafkaBuilder {
    users: Vec<(String, String)>,
    tls: bool,
    astray: Option<String>,
    settings: Vec<String>,
    port: Option<u16>,
    home: Option<Home>,
}

/// The ports of a broker.
struct Ports {
    plain: Port,
    controller: Port,
    sasl: Option<Port>,
    tls: Option<Port>,
    astray: Option<Port>,
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

    /// The broker of all tests of this process, or of the whole run if `MILLSTREAM_TEST_KAFKA` names one by
    /// address.
    ///
    /// # Errors
    /// If it does not start.
    pub fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Result<Kafka, String>> = OnceLock::new();
        server::shared(&SHARED, "MILLSTREAM_TEST_KAFKA", Self::at, Self::start)
    }

    /// A broker that somebody else runs, to create topics on.
    pub fn at(bootstrap: String) -> Self {
        Self { server: None, bootstrap, sasl: None, tls: None, astray: None }
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

    /// `127.0.0.1:PORT` of the listener that names the broker by another address, if asked for.
    pub fn astray_bootstrap(&self) -> Option<&str> {
        self.astray.as_deref()
    }

    /// The files of the TLS listener; clients trust [`Certificate::ca`].
    pub fn certificate(&self) -> Option<&Certificate> {
        self.tls.as_ref().map(|(_, certificate)| certificate)
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

    /// Grants a user a right on a topic, where the broker has [`rights`](KafkaBuilder::rights).
    ///
    /// # Errors
    /// If the broker has none, or cannot be reached.
    pub fn grant(&self, user: &str, right: TopicRight, topic: &str) -> Result<()> {
        kafka_admin::grant(&self.bootstrap, user, right.operation(), topic)
    }
}

handle!(Kafka, "Kafka");
placed!(KafkaBuilder);

impl KafkaBuilder {
    /// Adds a listener on which clients log in, and a user for it.
    pub fn sasl(mut self, user: &str, password: &str) -> Self {
        self.users.push((user.to_owned(), password.to_owned()));
        self
    }

    /// Users who log in may do what they are [granted](Kafka::grant) and nothing else. Whoever comes without
    /// a login may do everything.
    pub fn rights(self) -> Self {
        self.setting("authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer")
            .setting("super.users=User:ANONYMOUS")
    }

    /// Adds a listener with TLS.
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Adds a listener without login or encryption, whose clients are sent on to this address, `host:port`,
    /// in the name of the broker.
    pub fn astray(mut self, advertised: &str) -> Self {
        self.astray = Some(advertised.to_owned());
        self
    }

    /// Any other line of `server.properties`: `.setting("message.max.bytes=2000000")`.
    pub fn setting(mut self, line: &str) -> Self {
        self.settings.push(line.to_owned());
        self
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// If it cannot be fetched or does not start.
    pub fn start(mut self) -> Result<Kafka> {
        let jars = kafka_software::fetch()?;
        let home = self.home.take().map_or_else(|| Home::temporary("kafka"), Ok)?;
        let ports = Ports::reserve(self.port, !self.users.is_empty(), self.tls, self.astray.is_some())?;
        let certificate = self.tls.then(|| Certificate::create(home.dir())).transpose()?;
        self.configure(home.dir(), &ports, certificate.as_ref())?;
        kafka_software::format(&jars, home.dir())?;
        let launch = kafka_software::launch(&jars, home.dir())?;
        let address = |port: &Port| format!("127.0.0.1:{}", port.number());
        let (bootstrap, sasl) = (address(&ports.plain), ports.sasl.as_ref().map(address));
        let tls = ports.tls.as_ref().map(address).zip(certificate);
        let astray = ports.astray.as_ref().map(address);
        let server = Some(Server::start(launch, home, ports.into_vec())?);
        Ok(Kafka { server, bootstrap, sasl, tls, astray })
    }

    fn configure(&self, dir: &Path, ports: &Ports, certificate: Option<&Certificate>) -> Result<()> {
        let controller = ports.controller.number();
        let mut listeners = vec![format!("PLAINTEXT://127.0.0.1:{}", ports.plain.number())];
        listeners.extend(ports.sasl.iter().map(|port| format!("SASL://127.0.0.1:{}", port.number())));
        listeners.extend(ports.tls.iter().map(|port| format!("TLS://127.0.0.1:{}", port.number())));
        let mut advertised = listeners.clone();
        listeners.extend(ports.astray.iter().map(|port| format!("ASTRAY://127.0.0.1:{}", port.number())));
        advertised.extend(self.astray.iter().map(|address| format!("ASTRAY://{address}")));
        let (listeners, advertised) = (listeners.join(","), advertised.join(","));
        let mut lines = vec![
            format!("controller.quorum.voters=1@127.0.0.1:{controller}"),
            format!("listeners={listeners},CONTROLLER://127.0.0.1:{controller}"),
            format!("advertised.listeners={advertised}"),
            format!("log.dirs={}", dir.join("data").display()),
            kafka_software::SETTINGS.to_owned(),
        ];
        lines.extend(self.sasl_lines());
        lines.extend(certificate.map(kafka_software::tls_lines));
        lines.extend(self.settings.iter().cloned());
        fs::write(dir.join("server.properties"), lines.join("\n") + "\n")?;
        fs::write(dir.join("log4j2.properties"), kafka_software::LOG4J)?;
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
    fn reserve(plain: Option<u16>, sasl: bool, tls: bool, astray: bool) -> Result<Self> {
        let (plain, controller) = (Port::exactly_or_free(plain)?, Port::reserve()?);
        let sasl = sasl.then(Port::reserve).transpose()?;
        let tls = tls.then(Port::reserve).transpose()?;
        let astray = astray.then(Port::reserve).transpose()?;
        Ok(Self { plain, controller, sasl, tls, astray })
    }

    fn into_vec(self) -> Vec<Port> {
        [Some(self.plain), Some(self.controller), self.sasl, self.tls, self.astray]
            .into_iter()
            .flatten()
            .collect()
    }
}
