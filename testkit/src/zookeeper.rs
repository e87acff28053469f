//! ZooKeeper: one server or an ensemble of three, from the jars on Maven Central.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use crate::handle::placed;
use crate::port::Port;
use crate::process::{Launch, Ready};
use crate::server::{Home, Server};
use crate::{cache, fetch, java, wait};

/// 3.9.6 has no parent POM.
const VERSION: &str = "3.9.4";

const PATIENCE: Duration = Duration::from_secs(60);

/// ZooKeeper calls some of what its server needs "provided".
const POM: &str = r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>millstream</groupId><artifactId>zookeeper</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.zookeeper</groupId><artifactId>zookeeper</artifactId><version>@VERSION@</version>
      <exclusions>
        <exclusion><groupId>io.netty</groupId><artifactId>netty-tcnative-boringssl-static</artifactId></exclusion>
      </exclusions>
    </dependency>
    <dependency><groupId>io.dropwizard.metrics</groupId><artifactId>metrics-core</artifactId><version>4.1.12.1</version></dependency>
    <dependency><groupId>org.xerial.snappy</groupId><artifactId>snappy-java</artifactId><version>1.1.10.5</version></dependency>
    <dependency><groupId>ch.qos.logback</groupId><artifactId>logback-classic</artifactId><version>1.3.15</version></dependency>
  </dependencies>
</project>
"#;

const LOGBACK: &str = r#"<configuration>
<appender name="C" class="ch.qos.logback.core.ConsoleAppender">
<encoder><pattern>%d{ISO8601} %-5p %C{1}: %m%n</pattern></encoder>
</appender>
<root level="INFO"><appender-ref ref="C"/></root>
</configuration>
"#;

/// Short ticks: a dead leader is replaced within 2 s, and a session may be as short as 1 s.
const SETTINGS: &str = "\
tickTime=500
initLimit=20
syncLimit=10
clientPortAddress=127.0.0.1
admin.enableServer=false
4lw.commands.whitelist=*
maxClientCnxns=0
";

/// ZooKeeper servers that form an ensemble, or a single one.
#[derive(Debug)]
pub struct ZooKeeper {
    servers: Vec<Server>,
    ports: Vec<u16>,
}

/// What a [`ZooKeeper`] is to be like.
#[derive(Debug, Default)]
pub struct ZooKeeperBuilder {
    ensemble: bool,
    port: Option<u16>,
    home: Option<Home>,
    settings: Vec<String>,
}

/// The ports of a server: for clients, for followers, for elections.
struct Ports {
    client: Port,
    quorum: Port,
    election: Port,
}

impl ZooKeeper {
    /// Starts a single server of one's own: 1 s.
    ///
    /// # Errors
    /// If it cannot be fetched or does not start.
    pub fn start() -> Result<Self> {
        Self::builder().start()
    }

    /// Starts servers of one's own, with options.
    pub fn builder() -> ZooKeeperBuilder {
        ZooKeeperBuilder::default()
    }

    /// `127.0.0.1:PORT` of all servers, with commas between them: what clients want.
    pub fn quorum(&self) -> String {
        let addresses: Vec<String> = self.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        addresses.join(",")
    }

    /// A server's process, to kill, pause or restart it; the first one is 0.
    ///
    /// # Errors
    /// If there is no such one.
    pub fn server(&mut self, number: usize) -> Result<&mut Server> {
        self.servers.get_mut(number).with_context(|| format!("there is no ZooKeeper server {number}"))
    }

    /// The processes of all servers.
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// The server that leads an ensemble; `None` while there is no majority.
    pub fn leader(&self) -> Option<usize> {
        (0..self.servers.len()).find(|number| self.mode(*number).is_some_and(|mode| mode == "leader"))
    }

    /// Waits up to a minute until a server leads that is none of `others`.
    ///
    /// # Errors
    /// If that takes longer.
    pub fn wait_for_leader(&self, others: &[usize]) -> Result<usize> {
        let leader = || self.leader().filter(|leader| !others.contains(leader));
        wait::for_some(PATIENCE, leader).with_context(|| format!("no ZooKeeper server but {others:?} leads"))
    }

    /// Waits up to a minute until no server leads, as a majority is away.
    ///
    /// # Errors
    /// If that takes longer.
    pub fn wait_for_no_leader(&self) -> Result<()> {
        ensure!(wait::until(PATIENCE, || self.leader().is_none()), "a ZooKeeper server still leads");
        Ok(())
    }

    /// Waits up to a minute until a server is in this [`mode`](Self::mode).
    ///
    /// # Errors
    /// If that takes longer.
    pub fn wait_for_mode(&self, number: usize, mode: &str) -> Result<()> {
        let reached = wait::until(PATIENCE, || self.mode(number).as_deref() == Some(mode));
        ensure!(reached, "ZooKeeper server {number} is {:?}, not {mode}", self.mode(number));
        Ok(())
    }

    /// What a server is: `standalone`, `leader` or `follower`; `None` if it does not serve.
    pub fn mode(&self, number: usize) -> Option<String> {
        let running = self.servers.get(number)?.pid().is_some();
        let answer = running.then(|| four_letters(self.ports[number], "srvr"))?.ok()?;
        answer.lines().find_map(|line| line.strip_prefix("Mode: ")).map(str::to_owned)
    }
}

placed!(ZooKeeperBuilder);

impl ZooKeeperBuilder {
    /// Three servers instead of one; the port is that of the first.
    pub fn ensemble(mut self) -> Self {
        self.ensemble = true;
        self
    }

    /// Any other line of `zoo.cfg`: `.setting("maxSessionTimeout=4000")`.
    pub fn setting(mut self, line: &str) -> Self {
        self.settings.push(line.to_owned());
        self
    }

    /// Starts it and waits until it serves.
    ///
    /// # Errors
    /// If it cannot be fetched or does not start.
    pub fn start(mut self) -> Result<ZooKeeper> {
        let jars = software()?;
        let home = self.home.take().map_or_else(|| Home::temporary("zookeeper"), Ok)?;
        let number = if self.ensemble { 3 } else { 1 };
        let ports = (0..number).map(|index| Ports::reserve(self.port.filter(|_| index == 0)));
        let ports = ports.collect::<Result<Vec<_>>>()?;
        let members = if self.ensemble { members(&ports) } else { String::new() };
        let homes = self.homes(home, number)?;
        for (index, (home, ports)) in homes.iter().zip(&ports).enumerate() {
            self.configure(home.dir(), index, ports.client.number(), &members)?;
        }
        let clients: Vec<u16> = ports.iter().map(|ports| ports.client.number()).collect();
        let zookeeper = ZooKeeper { servers: start_all(&jars, homes, ports)?, ports: clients };
        let serves = || (0..number).all(|index| zookeeper.mode(index).is_some());
        ensure!(wait::until(PATIENCE, serves), "ZooKeeper does not serve: {}", zookeeper.tails());
        Ok(zookeeper)
    }

    /// The first server's home, and others of the same kind.
    fn homes(&self, first: Home, number: usize) -> Result<Vec<Home>> {
        let mut homes = Vec::with_capacity(number);
        for index in 1..number {
            homes.push(first.another("zookeeper", &format!("server-{index}"))?);
        }
        homes.insert(0, first);
        Ok(homes)
    }

    fn configure(&self, dir: &Path, index: usize, port: u16, members: &str) -> Result<()> {
        let data = dir.join("data");
        fs::create_dir_all(&data).with_context(|| format!("cannot create {}", data.display()))?;
        let own = format!("clientPort={port}\ndataDir={}\n", data.display());
        let more: String = self.settings.iter().map(|line| format!("{line}\n")).collect();
        fs::write(dir.join("zoo.cfg"), format!("{SETTINGS}{own}{members}{more}"))?;
        fs::write(dir.join("logback.xml"), LOGBACK)?;
        Ok(fs::write(data.join("myid"), format!("{}\n", index + 1))?)
    }
}

impl ZooKeeper {
    fn tails(&self) -> String {
        self.servers.iter().map(Server::log_tail).collect::<Vec<_>>().join("\n")
    }
}

impl Ports {
    fn reserve(client: Option<u16>) -> Result<Self> {
        let client = Port::exactly_or_free(client)?;
        Ok(Self { client, quorum: Port::reserve()?, election: Port::reserve()? })
    }
}

fn software() -> Result<PathBuf> {
    cache::once(&cache::dir()?, &format!("zookeeper-{VERSION}"), |target| {
        fetch::say(&format!("fetching ZooKeeper {VERSION} (8 MB) by Maven"));
        fetch::maven_jars(&POM.replace("@VERSION@", VERSION), target)
    })
}

fn members(ports: &[Ports]) -> String {
    let line = |(index, ports): (usize, &Ports)| {
        let (quorum, election) = (ports.quorum.number(), ports.election.number());
        format!("server.{}=127.0.0.1:{quorum}:{election}\n", index + 1)
    };
    ports.iter().enumerate().map(line).collect()
}

/// All at once: a server of an ensemble does not serve alone.
fn start_all(jars: &Path, homes: Vec<Home>, ports: Vec<Ports>) -> Result<Vec<Server>> {
    thread::scope(|scope| {
        let start = |(home, ports)| scope.spawn(move || start_one(jars, home, ports));
        let threads: Vec<_> = homes.into_iter().zip(ports).map(start).collect();
        threads.into_iter().map(|it| it.join().map_err(|_| anyhow!("a start panicked"))?).collect()
    })
}

fn start_one(jars: &Path, home: Home, ports: Ports) -> Result<Server> {
    let dir = home.dir();
    let options =
        ["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dzookeeper.jmx.log4j.disable=true"];
    let mut command = vec![java::program()?.into_os_string()];
    command.extend(options.map(Into::into));
    command.push(format!("-Dlogback.configurationFile={}", dir.join("logback.xml").display()).into());
    command.extend([
        "-cp".into(),
        jars.join("*").into(),
        "org.apache.zookeeper.server.quorum.QuorumPeerMain".into(),
    ]);
    command.push(dir.join("zoo.cfg").into());
    let launch = Launch {
        name: format!("ZooKeeper {VERSION}"),
        command,
        env: Vec::new(),
        dir: dir.to_owned(),
        refuses_root: false,
        ready: Ready::Log("binding to port"),
        patience: PATIENCE,
    };
    Server::start(launch, home, vec![ports.client, ports.quorum, ports.election])
}

/// Asks a server by one of ZooKeeper's commands of four letters.
fn four_letters(port: u16, command: &str) -> Result<String> {
    const PATIENCE: Duration = Duration::from_secs(2); // a paused server accepts connections
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(command.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
