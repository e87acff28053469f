//! The connection: made when first needed, made again when it broke, with the script at its other end.

use std::sync::{Arc, Once, OnceLock};

use millstream_delivery::{NotReady, Reply};
use millstream_record::{Error, Result};
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, IntoConnectionInfo, Pipeline, RedisError, TlsCertificates, Value,
};
use tokio::sync::Mutex;

use crate::certificates;
use crate::config::RedisOptions;
use crate::retry::{forgot_script, is_read_only, of_client_error, of_reply};

const SCRIPT: &str = include_str!("write.lua");

/// One subtask's connection. Pipelines share it, each waits for its own answers.
pub(crate) struct Link {
    options: Arc<RedisOptions>,
    epoch: u64,
    script: OnceLock<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: Option<OpenConnection>,
    connections: u64,
}

#[derive(Clone)]
struct OpenConnection {
    connection: MultiplexedConnection,
    number: u64,
}

impl Link {
    pub(crate) fn new(options: Arc<RedisOptions>, epoch: u64) -> Self {
        Self { options, epoch, script: OnceLock::new(), state: Mutex::default() }
    }

    /// Connects, logs in and sends the script.
    ///
    /// # Errors
    /// See [`NotReady`].
    pub(crate) async fn start(&self) -> Result<(), NotReady> {
        match self.open().await {
            Ok(_) => Ok(()),
            // A port that nobody listens at speaks nothing.
            Err(NotReady::Wait(reason)) if !reason.contains("refused") => {
                let mistaken = certificates::mistaken_scheme(&self.options.url).await;
                Err(mistaken
                    .map_or(NotReady::Wait(reason), |advice| NotReady::Stop(Error::configuration(advice))))
            }
            Err(not_ready) => Err(not_ready),
        }
    }

    /// The script's hash, by which commands call it. Known once [`start`](Self::start) has succeeded.
    pub(crate) fn script(&self) -> &str {
        self.script.get().map_or("", String::as_str)
    }

    /// Sends one pipeline of so many commands. After the start nothing lasts: a login that is refused now, or
    /// a right that is missing, was there before and may come back.
    pub(crate) async fn send(&self, pipeline: &Pipeline, count: usize) -> Reply {
        let reason = match self.send_with_script(pipeline, count).await {
            Ok(replies) => {
                return Reply::Items(replies.iter().map(|reply| of_reply(reply, self.epoch)).collect());
            }
            Err(NotReady::Wait(reason)) => reason,
            Err(NotReady::Stop(error)) => error.chain(),
        };
        Reply::Wait { reason, overloaded: false }
    }

    // Sent again as a whole where the server had forgotten the script: a repeated write changes nothing.
    async fn send_with_script(&self, pipeline: &Pipeline, count: usize) -> Result<Vec<Value>, NotReady> {
        let replies = self.run(pipeline, count).await?;
        if !replies.iter().any(forgot_script) {
            return Ok(replies);
        }
        self.load_script().await?;
        self.run(pipeline, count).await
    }

    // That the connection was closed while nothing was to be sent (Redis has a `timeout`, and so have
    // firewalls) shows only now. It is nobody's trouble: the pipeline is sent once more.
    async fn run(&self, pipeline: &Pipeline, count: usize) -> Result<Vec<Value>, NotReady> {
        let replies = match self.run_on(self.open().await?, pipeline, count).await {
            Err(error) if error.is_connection_dropped() => {
                self.run_on(self.open().await?, pipeline, count).await
            }
            replies => replies,
        };
        replies.map_err(|error| self.failure(&error))
    }

    async fn run_on(
        &self,
        mut open: OpenConnection,
        pipeline: &Pipeline,
        count: usize,
    ) -> Result<Vec<Value>, RedisError> {
        let replies = open.connection.send_packed_commands(pipeline, 0, count).await;
        // After a fail-over the address may lead to the new primary.
        let keeps = |replies: &Vec<Value>| replies.len() == count && !replies.iter().any(is_read_only);
        if !replies.as_ref().is_ok_and(keeps) {
            self.drop_connection(open.number).await;
        }
        replies
    }

    async fn load_script(&self) -> Result<(), NotReady> {
        let mut open = self.open().await?;
        match script_of(&mut open.connection).await {
            Ok(_) => Ok(()),
            Err(error) => {
                self.drop_connection(open.number).await;
                Err(self.failure(&error))
            }
        }
    }

    // The lock is held while connecting: pipelines that come meanwhile wait for the one connection.
    async fn open(&self) -> Result<OpenConnection, NotReady> {
        let mut state = self.state.lock().await;
        if let Some(open) = &state.open {
            return Ok(open.clone());
        }
        let client = client_for(&self.options).map_err(NotReady::Stop)?;
        let number = state.connections + 1;
        let open = self.connect(&client, number).await.map_err(|error| self.failure(&error))?;
        *state = State { open: Some(open.clone()), connections: number };
        Ok(open)
    }

    async fn connect(&self, client: &Client, number: u64) -> Result<OpenConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.options.connect_timeout))
            .set_response_timeout(Some(self.options.request_timeout))
            .set_write_backpressure_boundary(1 << 16);
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        let script = script_of(&mut connection).await?;
        self.script.get_or_init(|| script);
        Ok(OpenConnection { connection, number })
    }

    async fn drop_connection(&self, number: u64) {
        let mut state = self.state.lock().await;
        if state.open.as_ref().is_some_and(|open| open.number == number) {
            state.open = None;
        }
    }

    fn failure(&self, error: &RedisError) -> NotReady {
        if let Some(advice) = certificates::advice(&self.options.url, error) {
            return NotReady::Stop(Error::configuration(advice));
        }
        of_client_error(error, &self.options.url.to_string())
    }
}

/// A connection of its own, for commands that are no job.
pub(crate) async fn open_connection(options: &RedisOptions) -> Result<MultiplexedConnection> {
    let client = client_for(options)?;
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(options.connect_timeout))
        .set_response_timeout(Some(options.request_timeout));
    let opened = client.get_multiplexed_async_connection_with_config(&config).await;
    opened.map_err(|error| match certificates::advice(&options.url, &error) {
        Some(advice) => Error::configuration(advice),
        None => Error::retry(format!("Redis at {}: {error}", options.url)),
    })
}

// Files and variables are read anew for each connection: passwords and authorities may change while the job
// runs.
pub(crate) fn client_for(options: &RedisOptions) -> Result<Client> {
    let unusable = |error: RedisError| {
        Error::configuration(format!("Redis at {} cannot be used", options.url)).caused_by(error)
    };
    let info = options.url.expose().into_connection_info().map_err(unusable)?;
    let mut login = info.redis_settings().clone();
    if let Some(username) = &options.username {
        login = login.set_username(username);
    }
    if let Some(password) = options.read_password()? {
        login = login.set_password(password.reveal());
    }
    let info = info.set_redis_settings(login);
    choose_tls_provider();
    let Some(path) = &options.ca_file else {
        return Client::open(info).map_err(unusable);
    };
    let pem = std::fs::read(path).map_err(|error| {
        Error::configuration(format!("redis: ca-file {} cannot be read", path.display())).caused_by(error)
    })?;
    let certificates = TlsCertificates { client_tls: None, root_cert: Some(pem) };
    Client::build_with_tls(info, certificates).map_err(unusable)
}

/// Sends the script and answers its hash. The server keeps it beside the data, for whoever calls it.
pub(crate) async fn script_of(connection: &mut MultiplexedConnection) -> Result<String, RedisError> {
    redis::cmd("SCRIPT").arg("LOAD").arg(SCRIPT).query_async(connection).await
}

// With a second provider anywhere in the build rustls refuses to choose by itself.
fn choose_tls_provider() {
    static CHOSEN: Once = Once::new();
    CHOSEN.call_once(|| {
        // An error says that the program has chosen one already: that one then serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}
