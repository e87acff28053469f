//! S3Proxy: an S3 server that answers conditional writes without keeping their promise. For tests of what
//! must be refused.

use std::ffi::OsString;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::port::Port;
use crate::process::{Launch, Ready};
use crate::server::{Home, Server};
use crate::{cache, fetch, java};

const VERSION: &str = "2.6.0";
const ACCESS_KEY: &str = "millstream";
const SECRET_KEY: &str = "millstream-tests";

const POM: &str = r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>millstream</groupId><artifactId>s3proxy</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.gaul</groupId><artifactId>s3proxy</artifactId><version>@VERSION@</version></dependency>
  </dependencies>
</project>
"#;

/// Without this it writes megabytes of debugging.
const LOGBACK: &str = "\
<configuration>
  <appender name=\"C\" class=\"ch.qos.logback.core.ConsoleAppender\"><encoder><pattern>%d %p %m%n</pattern></encoder></appender>
  <root level=\"INFO\"><appender-ref ref=\"C\"/></root>
</configuration>
";

/// An S3 server over a directory.
#[derive(Debug)]
pub struct S3Proxy {
    server: Server,
    endpoint: String,
}

impl S3Proxy {
    /// Starts a server: 2 to 6 s.
    ///
    /// # Errors
    /// If it cannot be fetched or does not start.
    pub fn start() -> Result<Self> {
        let jars = cache::once(&cache::dir()?, &format!("s3proxy-{VERSION}"), |target| {
            fetch::say(&format!("fetching S3Proxy {VERSION} (43 MB) by Maven"));
            fetch::maven_jars(&POM.replace("@VERSION@", VERSION), target)
        })?;
        let (home, port) = (Home::temporary("s3proxy")?, Port::reserve()?);
        let endpoint = format!("http://127.0.0.1:{}", port.number());
        let dir = home.dir().to_owned();
        fs::create_dir_all(dir.join("data"))?;
        let settings = [
            format!("s3proxy.endpoint={endpoint}\ns3proxy.authorization=aws-v2-or-v4"),
            format!("s3proxy.identity={ACCESS_KEY}\ns3proxy.credential={SECRET_KEY}"),
            format!("jclouds.provider=filesystem\njclouds.filesystem.basedir={}", dir.join("data").display()),
        ];
        fs::write(dir.join("s3proxy.conf"), settings.join("\n") + "\n")?;
        fs::write(dir.join("logback.xml"), LOGBACK)?;
        let mut command: Vec<OsString> = vec![java::program()?.into(), "-Xmx128m".into()];
        command.extend([
            "-Dlogback.configurationFile=logback.xml".into(),
            "-cp".into(),
            jars.join("*").into(),
        ]);
        command.extend(["org.gaul.s3proxy.Main", "--properties", "s3proxy.conf"].map(Into::into));
        let launch = Launch {
            name: "S3Proxy".to_owned(),
            command,
            env: Vec::new(),
            dir,
            refuses_root: false,
            ready: Ready::Log("Started Server@"),
            patience: Duration::from_secs(60),
        };
        Ok(Self { server: Server::start(launch, home, vec![port])?, endpoint })
    }

    /// `http://127.0.0.1:PORT`; buckets are in the path.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The key id that may do everything.
    pub fn access_key(&self) -> &'static str {
        ACCESS_KEY
    }

    /// The secret key of [`S3Proxy::access_key`].
    pub fn secret_key(&self) -> &'static str {
        SECRET_KEY
    }

    /// Makes an empty bucket.
    ///
    /// # Errors
    /// If it exists.
    pub fn create_bucket(&self, name: &str) -> Result<()> {
        let dir = self.server.dir().join("data").join(name);
        fs::create_dir(&dir).with_context(|| format!("cannot create {}", dir.display()))
    }
}
