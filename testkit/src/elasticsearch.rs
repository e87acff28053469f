//! Elasticsearch: one node, from the bare distribution on Maven Central that Elastic runs its own integration
//! tests on.
//!
//! It lacks the modules painless, ingest and analysis-common, and answers `GET /` with 405: ask
//! `/_cluster/health`.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::handle::{handle, placed};
use crate::port::Port;
use crate::process::{Launch, Ready};
use crate::server::{Home, Server};
use crate::tls::Certificate;
use crate::{cache, fetch, files, java, server};

/// The version that is fetched: the newest that runs on JDK 17.
const VERSION: &str = "8.19.21";
const ARTIFACT: &str = "org.elasticsearch.distribution.integ-test-zip:elasticsearch";

/// The user that [`ElasticsearchBuilder::password`] is for.
const USER: &str = "elastic";

/// An Elasticsearch node with a heap of 512 MB.
#[derive(Debug)]
pub struct Elasticsearch {
    server: Option<Server>,
    url: String,
    certificate: Option<Certificate>,
}

/// What an [`Elasticsearch`] is to be like.
#[derive(Debug, Default)]
pub struct ElasticsearchBuilder {
    version: Option<String>,
    settings: Vec<String>,
    files: Vec<(String, String)>,
    password: Option<String>,
    tls: bool,
    port: Option<u16>,
    home: Option<Home>,
}

impl Elasticsearch {
    /// Starts a node of one's own: 10 to 40 s.
    ///
    /// # Errors
    /// If it cannot be fetched or does not start.
    pub fn start() -> Result<Self> {
        Self::builder().start()
    }

    /// Starts a node of one's own, with options.
    pub fn builder() -> ElasticsearchBuilder {
        ElasticsearchBuilder::default()
    }

    /// The node of all tests of this process, or of the whole run if `MILLSTREAM_TEST_ELASTICSEARCH` names
    /// one by URL.
    ///
    /// # Errors
    /// If it does not start.
    pub fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Result<Elasticsearch, String>> = OnceLock::new();
        let remote = |url| Elasticsearch { server: None, url, certificate: None };
        server::shared(&SHARED, "MILLSTREAM_TEST_ELASTICSEARCH", remote, Self::start)
    }

    /// `http://127.0.0.1:PORT`, or `https://` with TLS; without login.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The server's certificates, if it speaks TLS.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }
}

handle!(Elasticsearch, "Elasticsearch");
placed!(ElasticsearchBuilder);

impl ElasticsearchBuilder {
    /// Another version than the newest that is tested, such as `7.17.29`.
    pub fn version(mut self, version: &str) -> Self {
        self.version = Some(version.to_owned());
        self
    }

    /// A line of `elasticsearch.yml`: `.setting("http.max_content_length: 3mb")`.
    pub fn setting(mut self, line: &str) -> Self {
        self.settings.push(line.to_owned());
        self
    }

    /// A file beside `elasticsearch.yml`, such as `roles.yml`, with its text.
    pub fn config_file(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// Clients must log in: as `elastic`, with this password (6 characters or more).
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Speaks TLS, and only TLS, with a certificate signed by [`Certificate::ca`].
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// If it cannot be fetched or does not start.
    pub fn start(mut self) -> Result<Elasticsearch> {
        let software = fetch_software(self.chosen_version())?;
        let home = self.home.take().map_or_else(|| Home::temporary("elasticsearch"), Ok)?;
        let port = Port::exactly_or_free(self.port)?;
        let certificate = self.configure(&software, home.dir(), port.number())?;
        files::give_to_nobody(home.dir())?;
        if let Some(password) = &self.password {
            create_keystore(&software, home.dir(), password)?;
        }
        let scheme = if self.tls { "https" } else { "http" };
        let url = format!("{scheme}://127.0.0.1:{}", port.number());
        let launch = self.launch(&software, home.dir(), port.number())?;
        let server = Some(Server::start(launch, home, vec![port])?);
        Ok(Elasticsearch { server, url, certificate })
    }

    fn chosen_version(&self) -> &str {
        self.version.as_deref().unwrap_or(VERSION)
    }

    fn configure(&self, software: &Path, dir: &Path, port: u16) -> Result<Option<Certificate>> {
        let config = files::search_home(software, dir)?;
        let certificate = self.tls.then(|| Certificate::create(&config)).transpose()?;
        fs::write(config.join("elasticsearch.yml"), self.yaml(dir, port, certificate.as_ref()))?;
        for (name, text) in &self.files {
            fs::write(config.join(name), text)?;
        }
        Ok(certificate)
    }

    fn yaml(&self, dir: &Path, port: u16, certificate: Option<&Certificate>) -> String {
        let mut lines = vec![
            format!("cluster.name: millstream-{port}"),
            "node.name: n1".to_owned(),
            format!("path.data: {}", dir.join("data").display()),
            format!("path.logs: {}", dir.join("logs").display()),
            "network.host: 127.0.0.1".to_owned(),
            format!("http.port: {port}"),
            "transport.port: 0".to_owned(),
            "discovery.type: single-node".to_owned(),
            // A nearly full disk on the developer's machine is not this test's subject.
            "cluster.routing.allocation.disk.threshold_enabled: false".to_owned(),
        ];
        // The bare distribution has had security since version 8.
        if !self.chosen_version().starts_with('7') {
            lines.push(format!("xpack.security.enabled: {}", self.password.is_some()));
        }
        if let Some(files) = certificate {
            lines.push("xpack.security.http.ssl.enabled: true".to_owned());
            lines.push(format!("xpack.security.http.ssl.certificate: {}", files.cert.display()));
            lines.push(format!("xpack.security.http.ssl.key: {}", files.key.display()));
        }
        lines.extend(self.settings.iter().cloned());
        lines.join("\n") + "\n"
    }

    fn launch(&self, software: &Path, dir: &Path, port: u16) -> Result<Launch> {
        let login = self.password.as_ref().map(|password| format!("{USER}:{password}"));
        let path = "/_cluster/health?wait_for_status=yellow&timeout=1s";
        let ready = match self.tls {
            true => Ready::Log("] started {n1}"),
            false => Ready::Http { port, path, login },
        };
        Ok(Launch {
            name: format!("Elasticsearch {}", self.chosen_version()),
            command: vec![software.join("bin/elasticsearch").into()],
            env: environment(dir)?,
            dir: dir.to_owned(),
            refuses_root: true,
            ready,
            patience: Duration::from_secs(180),
        })
    }
}

fn fetch_software(version: &str) -> Result<PathBuf> {
    let unpacked = cache::once(&cache::public_dir()?, &format!("elasticsearch-{version}"), |target| {
        fetch::say(&format!("fetching Elasticsearch {version} (some 100 MB) by Maven"));
        fetch::maven_unpack(&format!("{ARTIFACT}:{version}:zip"), target)?;
        files::open_to_all(target) // its config/ is 0660
    })?;
    Ok(unpacked.join(format!("elasticsearch-{version}")))
}

fn environment(dir: &Path) -> Result<Vec<(String, OsString)>> {
    let set = |name: &str, value: PathBuf| (name.to_owned(), OsString::from(value));
    Ok(vec![
        set("ES_JAVA_HOME", java::home()?),
        set("ES_PATH_CONF", dir.join("config")),
        set("ES_TMPDIR", dir.join("tmp")),
    ])
}

/// Stores the password that [`USER`] has from the first start on.
fn create_keystore(software: &Path, dir: &Path, password: &str) -> Result<()> {
    if dir.join("config/elasticsearch.keystore").exists() {
        return Ok(());
    }
    keystore(software, dir, &["create", "-s"], "")?;
    keystore(software, dir, &["add", "-x", "-s", "bootstrap.password"], password)?;
    files::give_to_nobody(dir)
}

fn keystore(software: &Path, dir: &Path, arguments: &[&str], input: &str) -> Result<()> {
    let mut command = Command::new(software.join("bin/elasticsearch-keystore"));
    command.args(arguments).envs(environment(dir)?).current_dir(dir);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot run elasticsearch-keystore")?;
    if let Some(mut pipe) = child.stdin.take() {
        pipe.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("elasticsearch-keystore failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
