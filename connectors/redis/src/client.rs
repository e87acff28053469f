//! The connection: made when first needed, made again when it broke, with the script at its other end.

use std::sync::{Arc, Once};
use std::time::Duration;

use millstream_core::io::Io;
use millstream_core::{Error, Result};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo, Pipeline, RedisError, TlsCertificates};
use tokio::sync::Mutex;

use crate::config::RedisOptions;
use crate::encode::Pending;
use crate::retry::{Failure, Outcome, is_read_only, of_client_error, of_reply};

const SCRIPT: &str = include_str!("write.lua");

/// One subtask's connection. Pipelines share it, each waits for its own answers.
pub(crate) struct Link {
    options: Arc<RedisOptions>,
    epoch: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: Option<Open>,
    connections: u64,
}

#[derive(Clone)]
struct Open {
    connection: MultiplexedConnection,
    script: Arc<str>,
    number: u64,
}

impl Link {
    pub(crate) fn new(options: Arc<RedisOptions>, epoch: u64) -> Self {
        Self { options, epoch, state: Mutex::default() }
    }

    /// Connects, logs in and sends the script, trying again for as long as `start-timeout` says.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_core::ErrorKind::Configuration) for a wrong login, missing rights or a certificate;
    /// [`ErrorKind::Restart`](millstream_core::ErrorKind::Restart) when Redis is not ready in time.
    pub(crate) async fn check(&self, io: Arc<dyn Io>) -> Result<()> {
        const PAUSE: Duration = Duration::from_millis(200);
        let mut last = "no answer".to_owned();
        let attempts = async {
            loop {
                match self.open().await {
                    Ok(_) => return Ok(()),
                    Err(Failure::Lasting(error)) => return Err(error),
                    Err(Failure::Passing(reason)) => last = reason,
                }
                io.sleep(PAUSE).await;
            }
        };
        tokio::select! {
            result = attempts => return result,
            () = io.sleep(self.options.start_timeout) => {}
        }
        let (url, patience) = (&self.options.url, self.options.start_timeout);
        let not_ready = format!("Redis at {url} is not ready after {patience:?} (start-timeout)");
        // A certificate does not become trusted by waiting.
        let error = if last.contains("certificate") {
            Error::configuration(not_ready)
        } else {
            Error::restart(not_ready)
        };
        Err(error.caused_by(last))
    }

    /// Sends one pipeline; an outcome for each write, in order. After the start nothing lasts: a login that is refused now, or a right that
    /// is missing, was there before and may come back.
    pub(crate) async fn send(&self, writes: &[Pending]) -> Result<Vec<Outcome>, Failure> {
        self.send_once(writes).await.map_err(|failure| match failure {
            Failure::Lasting(error) => Failure::Passing(error.chain()),
            passing => passing,
        })
    }

    async fn send_once(&self, writes: &[Pending]) -> Result<Vec<Outcome>, Failure> {
        let mut outcomes = self.run(writes.iter()).await?;
        let unknown = |outcome: &Outcome| matches!(outcome, Outcome::NoScript);
        if outcomes.iter().any(unknown) {
            self.load_script().await?;
            let again: Vec<usize> = (0..writes.len()).filter(|index| unknown(&outcomes[*index])).collect();
            let results = self.run(again.iter().map(|index| &writes[*index])).await?;
            for (index, outcome) in again.into_iter().zip(results) {
                outcomes[index] = outcome;
            }
        }
        Ok(outcomes)
    }

    async fn run(&self, writes: impl ExactSizeIterator<Item = &Pending>) -> Result<Vec<Outcome>, Failure> {
        let mut open = self.open().await?;
        let count = writes.len();
        let mut pipeline = Pipeline::with_capacity(count);
        for pending in writes {
            pipeline.add_command(pending.command(&open.script, self.options.expiry));
        }
        let replies = open.connection.send_packed_commands(&pipeline, 0, count).await;
        let replies = match replies {
            Ok(replies) if replies.len() == count => replies,
            Ok(replies) => {
                self.drop_connection(open.number).await;
                return Err(Failure::Passing(format!("{} answers to {count} commands", replies.len())));
            }
            Err(error) => {
                self.drop_connection(open.number).await;
                return Err(self.failure(&error));
            }
        };
        if replies.iter().any(is_read_only) {
            // After a fail-over the address may lead to the new primary.
            self.drop_connection(open.number).await;
        }
        Ok(replies.iter().map(|reply| of_reply(reply, self.epoch)).collect())
    }

    async fn load_script(&self) -> Result<(), Failure> {
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
    async fn open(&self) -> Result<Open, Failure> {
        let mut state = self.state.lock().await;
        if let Some(open) = &state.open {
            return Ok(open.clone());
        }
        let client = self.client().map_err(Failure::Lasting)?;
        let number = state.connections + 1;
        let open = self.connect(&client, number).await.map_err(|error| self.failure(&error))?;
        if number > 1 {
            tracing::info!(url = %self.options.url, "connected to Redis again");
        }
        *state = State { open: Some(open.clone()), connections: number };
        Ok(open)
    }

    async fn connect(&self, client: &Client, number: u64) -> Result<Open, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.options.connect_timeout))
            .set_response_timeout(Some(self.options.request_timeout))
            .set_write_backpressure_boundary(1 << 16);
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        let script = script_of(&mut connection).await?.into();
        Ok(Open { connection, script, number })
    }

    async fn drop_connection(&self, number: u64) {
        let mut state = self.state.lock().await;
        if state.open.as_ref().is_some_and(|open| open.number == number) {
            state.open = None;
        }
    }

    // Files and variables are read anew for each connection: passwords and authorities may change while the job runs.
    fn client(&self) -> Result<Client> {
        let unusable = |error: RedisError| {
            Error::configuration(format!("Redis at {} cannot be used", self.options.url)).caused_by(error)
        };
        let info = self.options.url.expose().into_connection_info().map_err(unusable)?;
        let mut login = info.redis_settings().clone();
        if let Some(username) = &self.options.username {
            login = login.set_username(username);
        }
        if let Some(password) = self.options.read_password()? {
            login = login.set_password(password.reveal());
        }
        let info = info.set_redis_settings(login);
        choose_tls_provider();
        let Some(path) = &self.options.ca_file else {
            return Client::open(info).map_err(unusable);
        };
        let pem = std::fs::read(path).map_err(|error| {
            Error::configuration(format!("redis: ca-file {} cannot be read", path.display())).caused_by(error)
        })?;
        let certificates = TlsCertificates { client_tls: None, root_cert: Some(pem) };
        Client::build_with_tls(info, certificates).map_err(unusable)
    }

    fn failure(&self, error: &RedisError) -> Failure {
        of_client_error(error, &self.options.url.to_string())
    }
}

async fn script_of(connection: &mut MultiplexedConnection) -> Result<String, RedisError> {
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
