//! YARN: a ResourceManager and a NodeManager, which starts real containers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::port::Port;
use crate::process::{Launch, Ready};
use crate::server::{Home, Server};
use crate::{cache, fetch, hdfs_software as hadoop, http, java, wait};

const POM: &str = r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>millstream</groupId><artifactId>yarn</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.hadoop</groupId><artifactId>hadoop-common</artifactId><version>@VERSION@</version></dependency>
    <dependency><groupId>org.apache.hadoop</groupId><artifactId>hadoop-yarn-server-resourcemanager</artifactId><version>@VERSION@</version></dependency>
    <dependency><groupId>org.apache.hadoop</groupId><artifactId>hadoop-yarn-server-nodemanager</artifactId><version>@VERSION@</version></dependency>
    <dependency><groupId>org.apache.hadoop</groupId><artifactId>hadoop-yarn-client</artifactId><version>@VERSION@</version></dependency>
    <dependency><groupId>org.apache.hadoop</groupId><artifactId>hadoop-yarn-server-timelineservice</artifactId><version>@VERSION@</version></dependency>
    <dependency><groupId>org.apache.hadoop</groupId><artifactId>hadoop-hdfs-client</artifactId><version>@VERSION@</version></dependency>
  </dependencies>
</project>
"#;

const PATIENCE: Duration = Duration::from_secs(120);

/// A cluster of one machine.
#[derive(Debug)]
pub struct Yarn {
    jars: PathBuf,
    conf: PathBuf,
    web: u16,
    node_manager: Server,
    // Ends after the NodeManager.
    _resource_manager: Server,
}

impl Yarn {
    /// Starts a cluster of one's own, whose default file system is the machine's: 10 s.
    ///
    /// # Errors
    /// If it cannot be fetched or does not start.
    pub fn start() -> Result<Self> {
        let jars = Self::software()?;
        let ports = Ports::reserve()?;
        let web = ports.web();
        let home = Home::temporary("yarn")?;
        let conf = home.dir().join("conf");
        let local = Home::temporary("yarn-node")?;
        let settings = settings(&ports, local.dir(), &format!("{},{}/*", conf.display(), jars.display()));
        for home in [&home, &local] {
            hadoop::configure(home.dir(), &[("fs.defaultFS", "file:///".to_owned())])?;
            hadoop::write_site(&home.dir().join("conf/yarn-site.xml"), &settings)?;
        }
        hadoop::write_site(&conf.join("capacity-scheduler.xml"), &capacity())?;
        let ready = Ready::Http { port: web, path: "/ws/v1/cluster/info", login: None };
        let class = "org.apache.hadoop.yarn.server.resourcemanager.ResourceManager";
        let resource_manager = server(&jars, home, class, ready, ports.resource_manager)?;
        let class = "org.apache.hadoop.yarn.server.nodemanager.NodeManager";
        let ready = Ready::Log("Registered with ResourceManager as");
        let node_manager = server(&jars, local, class, ready, ports.node_manager)?;
        Ok(Self { jars, conf, web, node_manager, _resource_manager: resource_manager })
    }

    /// Fetches the software, if that has not been done, and returns the directory with its jars.
    ///
    /// # Errors
    /// If it cannot be fetched.
    pub fn software() -> Result<PathBuf> {
        let version = hadoop::VERSION;
        cache::once(&cache::dir()?, &format!("yarn-{version}"), |target| {
            fetch::say(&format!("fetching YARN {version} (90 MB) by Maven"));
            fetch::maven_jars(&POM.replace("@VERSION@", version), target)
        })
    }

    /// What `hadoop classpath` prints: the configuration and the jars of clients.
    pub fn class_path(&self) -> String {
        format!("{}:{}", self.conf.display(), self.jars.join("*").display())
    }

    /// Waits until an application has ended in success.
    ///
    /// # Errors
    /// If it fails, or that takes more than two minutes.
    pub fn wait_for_success(&self, application: &str) -> Result<()> {
        let mut last = Value::Null;
        let ended = || {
            last = self.application(application).unwrap_or_else(|error| json!(format!("{error:#}")));
            last["app"]["finalStatus"] != "UNDEFINED"
        };
        ensure!(wait::until(PATIENCE, ended), "{application} does not end: {last}");
        ensure!(last["app"]["finalStatus"] == "SUCCEEDED", "{application} failed: {last}");
        Ok(())
    }

    fn application(&self, id: &str) -> Result<Value> {
        let answer = http::get(self.web, &format!("/ws/v1/cluster/apps/{id}"), None)?;
        serde_json::from_str(&answer.body).context("YARN's answer is not JSON")
    }
}

impl Drop for Yarn {
    /// Containers are processes of their own: the NodeManager ends them when it is asked to end.
    fn drop(&mut self) {
        let _ = self.node_manager.stop();
    }
}

struct Ports {
    resource_manager: Vec<Port>,
    node_manager: Vec<Port>,
}

impl Ports {
    fn reserve() -> Result<Self> {
        let reserve = |names: usize| (0..names).map(|_| Port::reserve()).collect::<Result<Vec<_>>>();
        Ok(Self {
            resource_manager: reserve(RESOURCE_MANAGER_ADDRESSES.len())?,
            node_manager: reserve(NODE_MANAGER_ADDRESSES.len())?,
        })
    }

    fn web(&self) -> u16 {
        self.resource_manager[0].number()
    }
}

const RESOURCE_MANAGER_ADDRESSES: [&str; 5] =
    ["webapp.address", "address", "scheduler.address", "resource-tracker.address", "admin.address"];

const NODE_MANAGER_ADDRESSES: [&str; 4] =
    ["webapp.address", "address", "localizer.address", "collector-service.address"];

fn settings(ports: &Ports, node: &Path, class_path: &str) -> Vec<(String, String)> {
    let addresses = |prefix: &'static str, names: &'static [&str], ports: &[Port]| {
        let address = |port: &Port| format!("127.0.0.1:{}", port.number());
        let named = names.iter().zip(ports.iter().map(address));
        named.map(|(name, address)| (format!("{prefix}.{name}"), address)).collect::<Vec<_>>()
    };
    let dir = |name: &str| node.join(name).display().to_string();
    let (local, logs) = (dir("local"), dir("logs"));
    let others = [
        ("yarn.resourcemanager.hostname", "127.0.0.1"),
        ("yarn.resourcemanager.bind-host", "127.0.0.1"),
        ("yarn.nodemanager.hostname", "127.0.0.1"),
        ("yarn.nodemanager.bind-host", "127.0.0.1"),
        ("yarn.nodemanager.local-dirs", &local),
        ("yarn.nodemanager.log-dirs", &logs),
        ("yarn.application.classpath", class_path),
        // On paper: nothing is measured.
        ("yarn.nodemanager.resource.memory-mb", "32768"),
        ("yarn.nodemanager.resource.cpu-vcores", "32"),
        ("yarn.nodemanager.vmem-check-enabled", "false"),
        ("yarn.nodemanager.pmem-check-enabled", "false"),
        ("yarn.nodemanager.disk-health-checker.max-disk-utilization-per-disk-percentage", "99.9"),
        ("yarn.nodemanager.env-whitelist", "JAVA_HOME,PATH,LANG,TZ"),
        ("yarn.scheduler.minimum-allocation-mb", "128"),
        // Without a ResourceManager an application ends soon.
        ("yarn.resourcemanager.connect.max-wait.ms", "30000"),
        ("yarn.resourcemanager.connect.retry-interval.ms", "1000"),
    ];
    [
        addresses("yarn.resourcemanager", &RESOURCE_MANAGER_ADDRESSES, &ports.resource_manager),
        addresses("yarn.nodemanager", &NODE_MANAGER_ADDRESSES, &ports.node_manager),
        others.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
    ]
    .concat()
}

/// One queue, which applications' masters may use up.
fn capacity() -> Vec<(String, String)> {
    let settings =
        [("root.queues", "default"), ("root.default.capacity", "100"), ("maximum-am-resource-percent", "1")];
    settings.map(|(name, value)| (format!("yarn.scheduler.capacity.{name}"), value.to_owned())).to_vec()
}

fn server(jars: &Path, home: Home, class: &str, ready: Ready, ports: Vec<Port>) -> Result<Server> {
    let mut command = hadoop::command(jars, home.dir(), class)?;
    command.insert(1, "--add-exports=java.base/sun.net.dns=ALL-UNNAMED".into());
    let launch = Launch {
        name: class.rsplit('.').next().unwrap_or(class).to_owned(),
        command,
        // Containers inherit it.
        env: vec![("JAVA_HOME".to_owned(), java::home()?.into_os_string())],
        dir: home.dir().to_owned(),
        refuses_root: false,
        ready,
        patience: PATIENCE,
    };
    Server::start(launch, home, ports)
}
