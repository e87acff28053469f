//! MinIO: an S3 server, built from its Go module. Under AGPL: a tool of tests, never shipped.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::handle::{handle, placed};
use crate::port::Port;
use crate::process::{Launch, Ready};
use crate::server::{Home, Server};
use crate::{cache, fetch, go, http, server, wait};

/// The last commit upstream; its release tags are no versions to Go.
const MODULE: &str = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c";
const PATIENCE: Duration = Duration::from_secs(60);
const ACCESS_KEY: &str = "millstream";
const SECRET_KEY: &str = "millstream-tests";

/// An S3 server with one drive.
#[derive(Debug)]
pub struct MinIo {
    server: Option<Server>,
    endpoint: String,
}

/// What a [`MinIo`] is to be like.
#[derive(Debug, Default)]
pub struct MinIoBuilder {
    port: Option<u16>,
    home: Option<Home>,
}

impl MinIo {
    /// Starts a server of one's own: 1 s, and some minutes for the first build on a machine.
    ///
    /// # Errors
    /// If it cannot be built or does not start.
    pub fn start() -> Result<Self> {
        Self::builder().start()
    }

    /// Starts a server of one's own, with options.
    pub fn builder() -> MinIoBuilder {
        MinIoBuilder::default()
    }

    /// The server of all tests of this process.
    ///
    /// # Errors
    /// If it does not start.
    pub fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Result<MinIo, String>> = OnceLock::new();
        let remote = |endpoint| Self { server: None, endpoint };
        server::shared(&SHARED, "MILLSTREAM_TEST_MINIO", remote, Self::start)
    }

    /// Builds the server, if that has not been done, and returns the program.
    ///
    /// # Errors
    /// If it cannot be built.
    pub fn executable() -> Result<PathBuf> {
        let version = MODULE.rsplit('-').next().unwrap_or_default();
        let dir = cache::once(&cache::dir()?, &format!("minio-{version}"), |target| {
            fetch::say("building MinIO from its Go module: this takes some minutes, once");
            go::install(MODULE, target)
        })?;
        Ok(dir.join("minio"))
    }

    /// `http://127.0.0.1:PORT`; buckets are in the path.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The key id that may do everything.
    pub fn access_key(&self) -> &'static str {
        ACCESS_KEY
    }

    /// The secret key of [`MinIo::access_key`].
    pub fn secret_key(&self) -> &'static str {
        SECRET_KEY
    }

    /// Makes an empty bucket.
    ///
    /// # Errors
    /// If it exists, or somebody else runs the server.
    pub fn create_bucket(&self, name: &str) -> Result<()> {
        let dir = self.bucket(name)?;
        fs::create_dir(&dir).with_context(|| format!("cannot create {}", dir.display()))
    }

    /// Removes a bucket with all that is in it, in the middle of whatever goes on.
    ///
    /// # Errors
    /// If there is none, or somebody else runs the server.
    pub fn delete_bucket(&self, name: &str) -> Result<()> {
        let dir = self.bucket(name)?;
        fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))
    }

    /// How many uploads in parts were begun and neither finished nor aborted.
    ///
    /// # Errors
    /// If somebody else runs the server.
    pub fn open_uploads(&self) -> Result<usize> {
        let uploads = self.data()?.join(".minio.sys/multipart");
        let files =
            fs::read_dir(uploads).map(|files| files.flatten().collect::<Vec<_>>()).unwrap_or_default();
        let parts = files.iter().filter_map(|file| fs::read_dir(file.path()).ok());
        Ok(parts.map(Iterator::count).sum())
    }

    /// It calls itself healthy a moment before it takes requests: until then it answers 503 to everything.
    fn wait_initialized(&self) -> Result<()> {
        let port = self.endpoint.rsplit(':').next().context("an endpoint has a port")?.parse()?;
        let takes_requests = || http::get(port, "/", None).is_ok_and(|answer| answer.status == 403);
        ensure!(wait::until(PATIENCE, takes_requests), "MinIO is healthy, but answers no requests");
        Ok(())
    }

    /// One drive: what lies in its directory is a bucket.
    fn bucket(&self, name: &str) -> Result<PathBuf> {
        Ok(self.data()?.join(name))
    }

    fn data(&self) -> Result<PathBuf> {
        let server = self.server.as_ref().context("this MinIO is somebody else's: start your own")?;
        Ok(server.dir().join("data"))
    }
}

handle!(MinIo, "MinIO");
placed!(MinIoBuilder);

impl MinIoBuilder {
    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// If it cannot be built or does not start.
    pub fn start(self) -> Result<MinIo> {
        let program = MinIo::executable()?;
        let home = self.home.map_or_else(|| Home::temporary("minio"), Ok)?;
        let port = Port::exactly_or_free(self.port)?;
        let number = port.number();
        let data = home.dir().join("data");
        fs::create_dir_all(&data).with_context(|| format!("cannot create {}", data.display()))?;
        let mut command: Vec<OsString> = vec![program.into(), "server".into(), "--quiet".into()];
        command.extend(["--address".into(), format!("127.0.0.1:{number}").into(), data.into()]);
        let launch = Launch {
            name: "MinIO".to_owned(),
            command,
            env: environment(),
            dir: home.dir().to_owned(),
            refuses_root: false,
            ready: Ready::Http { port: number, path: "/minio/health/ready", login: None },
            patience: PATIENCE,
        };
        let server = Some(Server::start(launch, home, vec![port])?);
        let minio = MinIo { server, endpoint: format!("http://127.0.0.1:{number}") };
        minio.wait_initialized()?;
        Ok(minio)
    }
}

fn environment() -> Vec<(String, OsString)> {
    let set = |(name, value): (&str, &str)| (name.to_owned(), OsString::from(value));
    let variables = [
        ("MINIO_ROOT_USER", ACCESS_KEY),
        ("MINIO_ROOT_PASSWORD", SECRET_KEY),
        ("MINIO_BROWSER", "off"),
        ("MINIO_UPDATE", "off"),
        ("MINIO_CALLHOME_ENABLE", "off"),
        ("GOMEMLIMIT", "256MiB"),
    ];
    variables.map(set).into()
}
