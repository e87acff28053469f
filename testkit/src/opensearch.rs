//! OpenSearch: one node, from the bare distribution on Maven Central. For the differences to Elasticsearch
//! alone.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use crate::port::Port;
use crate::process::{Launch, Ready};
use crate::server::{Home, Server};
use crate::{cache, fetch, files, java};

/// The version that is fetched: the newest that runs on JDK 17.
const VERSION: &str = "2.19.6";
const ARTIFACT: &str = "org.opensearch.distribution.integ-test-zip:opensearch";

/// An OpenSearch node with a heap of 512 MB, without login.
#[derive(Debug)]
pub struct OpenSearch {
    server: Server,
    url: String,
}

impl OpenSearch {
    /// Starts a node of one's own: 10 to 30 s.
    ///
    /// # Errors
    /// If it cannot be fetched or does not start.
    pub fn start() -> Result<Self> {
        let software = fetch_software()?;
        let home = Home::temporary("opensearch")?;
        let port = Port::reserve()?;
        configure(&software, home.dir(), port.number())?;
        files::give_to_nobody(home.dir())?;
        let url = format!("http://127.0.0.1:{}", port.number());
        let launch = launch(&software, home.dir(), port.number())?;
        Ok(Self { server: Server::start(launch, home, vec![port])?, url })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The process, to stop, kill or restart it.
    pub fn server(&mut self) -> &mut Server {
        &mut self.server
    }
}

fn fetch_software() -> Result<PathBuf> {
    let unpacked = cache::once(&cache::public_dir()?, &format!("opensearch-{VERSION}"), |target| {
        fetch::say(&format!("fetching OpenSearch {VERSION} (54 MB) by Maven"));
        fetch::maven_unpack(&format!("{ARTIFACT}:{VERSION}:zip"), target)?;
        files::open_to_all(target)
    })?;
    Ok(unpacked.join(format!("opensearch-{VERSION}")))
}

fn configure(software: &Path, dir: &Path, port: u16) -> Result<()> {
    let config = files::search_home(software, dir)?;
    let (data, logs) = (dir.join("data"), dir.join("logs"));
    let yaml = [
        format!("cluster.name: millstream-{port}"),
        "node.name: n1".to_owned(),
        format!("path.data: {}", data.display()),
        format!("path.logs: {}", logs.display()),
        "network.host: 127.0.0.1".to_owned(),
        format!("http.port: {port}"),
        "transport.port: 0".to_owned(),
        "discovery.type: single-node".to_owned(),
        "cluster.routing.allocation.disk.threshold_enabled: false".to_owned(),
    ];
    fs::write(config.join("opensearch.yml"), yaml.join("\n") + "\n")?;
    Ok(())
}

fn launch(software: &Path, dir: &Path, port: u16) -> Result<Launch> {
    let set = |name: &str, value: PathBuf| (name.to_owned(), OsString::from(value));
    Ok(Launch {
        name: format!("OpenSearch {VERSION}"),
        command: vec![software.join("bin/opensearch").into()],
        env: vec![
            set("OPENSEARCH_JAVA_HOME", java::home()?),
            set("OPENSEARCH_PATH_CONF", dir.join("config")),
            set("OPENSEARCH_TMPDIR", dir.join("tmp")),
        ],
        dir: dir.to_owned(),
        refuses_root: true,
        ready: Ready::Http { port, path: "/_cluster/health?wait_for_status=yellow&timeout=1s", login: None },
        patience: Duration::from_secs(180),
    })
}
