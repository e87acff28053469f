//! HDFS: a NameNode and two DataNodes, from the jars on Maven Central.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::handle::placed;
use crate::port::Port;
use crate::process::{Launch, Ready};
use crate::server::{Home, Server};
use crate::{fetch, hdfs_software as software, http, server, wait};

const DATANODES: usize = 2;
const PATIENCE: Duration = Duration::from_secs(90);
const JMX: &str = "/jmx?qry=Hadoop:service=NameNode,name=";

/// A cluster on loopback; every user may do everything.
#[derive(Debug)]
pub struct Hdfs {
    url: String,
    http: u16,
    namenode: Option<Server>,
    datanodes: Vec<Server>,
}

/// What an [`Hdfs`] is to be like.
#[derive(Debug, Default)]
pub struct HdfsBuilder {
    port: Option<u16>,
    home: Option<Home>,
    settings: Vec<(&'static str, String)>,
}

impl Hdfs {
    /// Starts a cluster of one's own: 5 to 10 s.
    ///
    /// # Errors
    /// If it cannot be fetched or does not start.
    pub fn start() -> Result<Self> {
        Self::builder().start()
    }

    /// Starts a cluster of one's own, with options.
    pub fn builder() -> HdfsBuilder {
        HdfsBuilder::default()
    }

    /// The cluster of all tests of this process, or of the whole run if `MILLSTREAM_TEST_HDFS` names one by
    /// URL.
    ///
    /// # Errors
    /// If it does not start.
    pub fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Result<Hdfs, String>> = OnceLock::new();
        let remote = |url| Self { url, http: 0, namenode: None, datanodes: Vec::new() };
        server::shared(&SHARED, "MILLSTREAM_TEST_HDFS", remote, Self::start)
    }

    /// Fetches the software, if that has not been done, and returns the directory with its jars.
    ///
    /// # Errors
    /// If it cannot be fetched.
    pub fn software() -> Result<PathBuf> {
        software::fetch()
    }

    /// `hdfs://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The NameNode's process, to kill, pause or restart it.
    ///
    /// # Errors
    /// If somebody else runs it.
    pub fn namenode(&mut self) -> Result<&mut Server> {
        self.namenode.as_mut().context("this HDFS is somebody else's: start your own")
    }

    /// A DataNode's process, 0 or 1.
    ///
    /// # Errors
    /// If somebody else runs it.
    pub fn datanode(&mut self, number: usize) -> Result<&mut Server> {
        self.datanodes.get_mut(number).context("this HDFS is somebody else's, or has no such DataNode")
    }

    /// The NameNode's process, to ask for its pid or log; `None` if somebody else runs it.
    pub fn server(&self) -> Option<&Server> {
        self.namenode.as_ref()
    }

    /// Runs `hdfs dfsadmin` with these arguments, such as `-setSpaceQuota`, `20m`, `/dir`.
    ///
    /// # Errors
    /// If somebody else runs the cluster, or the command fails.
    pub fn admin(&self, arguments: &[&str]) -> Result<()> {
        let namenode = self.namenode.as_ref().context("this HDFS is somebody else's: start your own")?;
        let class = "org.apache.hadoop.hdfs.tools.DFSAdmin";
        let words = software::command(&software::fetch()?, namenode.dir(), class)?;
        let (program, rest) = words.split_first().context("a command has a program")?;
        fetch::run(Command::new(program).args(rest).args(arguments), "hdfs dfsadmin")
    }

    /// Waits until this many DataNodes are alive for the NameNode, and it takes writes.
    ///
    /// # Errors
    /// If that takes more than 90 s.
    pub fn wait_for(&self, datanodes: usize) -> Result<()> {
        let live = format!("\"NumLiveDataNodes\" : {datanodes},");
        let says = |bean: &str, text: &str| {
            let path = format!("{JMX}{bean}");
            http::get(self.http, &path, None).is_ok_and(|answer| answer.body.contains(text))
        };
        let ready = || says("FSNamesystemState", &live) && says("NameNodeInfo", "\"Safemode\" : \"\"");
        ensure!(wait::until(PATIENCE, ready), "HDFS has no {datanodes} DataNodes or stays in safe mode");
        Ok(())
    }
}

placed!(HdfsBuilder);

impl HdfsBuilder {
    /// A setting of Hadoop's, over the test kit's own, for all processes of the cluster.
    pub fn setting(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.settings.push((name, value.into()));
        self
    }

    /// Starts it and waits until it takes writes.
    ///
    /// # Errors
    /// If it cannot be fetched or does not start.
    pub fn start(self) -> Result<Hdfs> {
        let jars = software::fetch()?;
        let (rpc, http) = (Port::exactly_or_free(self.port)?, Port::reserve()?);
        let url = format!("hdfs://127.0.0.1:{}", rpc.number());
        let number = http.number();
        let lasting = self.home.as_ref().map(|home| home.dir().to_owned());
        let home = self.home.map_or_else(|| Home::temporary("hdfs"), Ok)?;
        let namenode = namenode(&jars, home, &url, (rpc, http), &self.settings)?;
        let home = |index: usize| match &lasting {
            Some(dir) => Home::lasting(&dir.join(format!("datanode-{index}"))),
            None => Home::temporary("hdfs-data"),
        };
        let datanodes = (0..DATANODES).map(|index| datanode(&jars, home(index)?, &url, &self.settings));
        let datanodes = datanodes.collect::<Result<Vec<_>>>()?;
        let hdfs = Hdfs { url, http: number, namenode: Some(namenode), datanodes };
        hdfs.wait_for(DATANODES)?;
        Ok(hdfs)
    }
}

type Settings = [(&'static str, String)];

fn namenode(
    jars: &Path,
    home: Home,
    url: &str,
    (rpc, http): (Port, Port),
    more: &Settings,
) -> Result<Server> {
    let (dir, web) = (home.dir().to_owned(), http.number());
    let settings = [
        ("fs.defaultFS", url.to_owned()),
        ("hadoop.tmp.dir", dir.join("tmp").display().to_string()),
        ("dfs.replication", DATANODES.to_string()),
        ("dfs.namenode.safemode.min.datanodes", DATANODES.to_string()),
        ("dfs.permissions.enabled", "false".to_owned()),
        ("dfs.namenode.name.dir", format!("file://{}", dir.join("name").display())),
        ("dfs.namenode.rpc-address", format!("127.0.0.1:{}", rpc.number())),
        ("dfs.namenode.rpc-bind-host", "127.0.0.1".to_owned()),
        ("dfs.namenode.http-address", format!("127.0.0.1:{web}")),
        ("dfs.namenode.http-bind-host", "127.0.0.1".to_owned()),
    ];
    software::configure(&dir, &[&settings, more].concat())?;
    software::format(jars, &dir)?;
    let class = "org.apache.hadoop.hdfs.server.namenode.NameNode";
    launch(jars, home, class, web, vec![rpc, http])
}

fn datanode(jars: &Path, home: Home, url: &str, more: &Settings) -> Result<Server> {
    let (data, http, ipc) = (Port::reserve()?, Port::reserve()?, Port::reserve()?);
    let (dir, web) = (home.dir().to_owned(), http.number());
    let address = |port: &Port| format!("127.0.0.1:{}", port.number());
    let settings = [
        ("fs.defaultFS", url.to_owned()),
        ("hadoop.tmp.dir", dir.join("tmp").display().to_string()),
        ("dfs.datanode.data.dir", format!("file://{}", dir.join("data").display())),
        ("dfs.datanode.address", address(&data)),
        ("dfs.datanode.http.address", address(&http)),
        ("dfs.datanode.ipc.address", address(&ipc)),
        ("dfs.datanode.hostname", "127.0.0.1".to_owned()),
    ];
    software::configure(&dir, &[&settings, more].concat())?;
    launch(jars, home, "org.apache.hadoop.hdfs.server.datanode.DataNode", web, vec![data, http, ipc])
}

fn launch(jars: &Path, home: Home, class: &str, web: u16, ports: Vec<Port>) -> Result<Server> {
    let launch = Launch {
        name: class.rsplit('.').next().unwrap_or(class).to_owned(),
        command: software::command(jars, home.dir(), class)?,
        env: Vec::new(),
        dir: home.dir().to_owned(),
        refuses_root: false,
        ready: Ready::Http { port: web, path: "/jmx?qry=java.lang:type=Runtime", login: None },
        patience: PATIENCE,
    };
    Server::start(launch, home, ports)
}
