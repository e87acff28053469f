//! Prometheus from the Debian package.

use std::ffi::OsString;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::handle::placed;
use crate::port::Port;
use crate::process::{Launch, Ready};
use crate::server::{Home, Server};
use crate::{fetch, http};

/// A Prometheus server that scrapes every second.
#[derive(Debug)]
pub struct Prometheus {
    server: Server,
    port: u16,
}

/// What a [`Prometheus`] is to be like.
#[derive(Debug, Default)]
pub struct PrometheusBuilder {
    targets: Vec<String>,
    port: Option<u16>,
    home: Option<Home>,
}

impl Prometheus {
    /// Starts a server that scrapes `/metrics` of `target`, such as `127.0.0.1:9249`. Its first sample may
    /// take 5 s.
    ///
    /// # Errors
    /// If it cannot be installed or does not start.
    pub fn start(target: &str) -> Result<Self> {
        Self::builder().target(target).start()
    }

    /// Starts a server with options.
    pub fn builder() -> PrometheusBuilder {
        PrometheusBuilder::default()
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The process, to ask for its pid or log.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The value of each series that a PromQL expression selects now, as in `data.result` of Prometheus'
    /// answer.
    ///
    /// # Errors
    /// If it cannot be reached or does not understand the expression.
    pub fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let path = format!("/api/v1/query?query={}", encode(expression));
        let response = http::get(self.port, &path, None)?;
        ensure!(response.status == 200, "Prometheus refuses {expression}: {}", response.body);
        let mut answer: Value = serde_json::from_str(&response.body)?;
        let result = answer.pointer_mut("/data/result").context("the answer has no result")?;
        Ok(serde_json::from_value(result.take())?)
    }
}

placed!(PrometheusBuilder);

impl PrometheusBuilder {
    /// Scrapes `/metrics` of this `host:port` too.
    pub fn target(mut self, target: &str) -> Self {
        self.targets.push(target.to_owned());
        self
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// If it cannot be installed or does not start.
    pub fn start(self) -> Result<Prometheus> {
        let program = fetch::apt("prometheus", "prometheus")?;
        let home = self.home.map_or_else(|| Home::temporary("prometheus"), Ok)?;
        let port = Port::exactly_or_free(self.port)?;
        let number = port.number();
        let config = home.dir().join("prometheus.yml");
        let targets = serde_json::to_string(&self.targets)?; // JSON is YAML
        let scrape =
            format!("scrape_configs: [{{job_name: millstream, static_configs: [{{targets: {targets}}}]}}]");
        fs::write(&config, format!("global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n{scrape}\n"))?;
        let mut command: Vec<OsString> = vec![program.into()];
        command.push(format!("--config.file={}", config.display()).into());
        command.push(format!("--storage.tsdb.path={}", home.dir().join("data").display()).into());
        command.push(format!("--web.listen-address=127.0.0.1:{number}").into());
        let launch = Launch {
            name: "Prometheus".to_owned(),
            command,
            env: Vec::new(),
            dir: home.dir().to_owned(),
            refuses_root: false,
            ready: Ready::Http { port: number, path: "/-/ready", login: None },
            patience: Duration::from_secs(60),
        };
        Ok(Prometheus { server: Server::start(launch, home, vec![port])?, port: number })
    }
}

/// Percent-encodes everything but letters and digits.
fn encode(text: &str) -> String {
    let byte = |byte: u8| match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}
