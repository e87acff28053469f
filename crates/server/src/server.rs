//! The HTTP server of one job.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use axum::Router;
use axum::http::header;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use futures::FutureExt;
use millstream_record::{Error, Result};
use millstream_runtime::JobControl;
use millstream_stage::metrics::JobMetrics;
use millstream_stage::options::Secret;
use tokio::sync::oneshot;

use crate::live::Live;
use crate::rest::{self, Requests};
use crate::{auth, prometheus};

/// Where to listen, and who may look.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The address; beyond loopback only with a password.
    pub bind_address: String,
    /// The port; 0 takes a free one.
    pub port: u16,
    /// What a browser must know.
    pub password: Option<Secret>,
}

impl ServerOptions {
    /// Refuses an address that is none, and one beyond loopback without a password. No I/O.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration).
    pub fn validate(&self) -> Result<()> {
        self.address().map(drop)
    }

    /// The same, and refuses a port that is in use: for a job that has not begun.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration).
    pub fn try_port(&self) -> Result<()> {
        listen(self).map(drop)
    }

    fn address(&self) -> Result<SocketAddr> {
        let host = &self.bind_address;
        let address: IpAddr = host.parse().map_err(|_| {
            Error::configuration(format!(
                "rest.bind-address {host:?} is no address: write one such as 127.0.0.1"
            ))
        })?;
        if !address.is_loopback() && self.password.is_none() {
            return Err(Error::configuration(format!(
                "rest.bind-address {address} can be reached from other machines: set rest.password-file, or listen on 127.0.0.1"
            )));
        }
        Ok((address, self.port).into())
    }
}

/// A file of the page, built into the program.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Its path, such as `/`.
    pub path: &'static str,
    /// Its type, such as `text/html; charset=utf-8`.
    pub content_type: &'static str,
    /// What is in it.
    pub content: &'static str,
}

/// A server; it ends when this is dropped.
pub struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    requests: Requests,
    live: Live,
}

/// How long a page may take to read the last document, once nothing is served any more.
const LAST_DOCUMENT: Duration = Duration::from_secs(1);

/// How long a job that has ended waits for those who ended it over HTTP to ask how it went.
/// Flink's client asks every two seconds at least.
const LAST_ANSWER: Duration = Duration::from_secs(4);

impl Server {
    /// Starts to listen for a job: what [`start`](Self::start) serves, and Flink's REST interface.
    ///
    /// # Errors
    /// Returns the same errors as [`start`](Self::start).
    pub fn for_job(options: &ServerOptions, job: &JobControl, pages: &[Page], live: Live) -> Result<Self> {
        let requests = Requests::default();
        let router = router(job.metrics(), Some(job.clone()), pages, live.clone())
            .merge(rest::routes(job.clone(), requests.clone()));
        Self::serve(options, router, requests, live)
    }

    /// Starts to listen: the files of the page, `/live` (server-sent events of `live`) and `/metrics`.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) for an address that is none,
    /// one beyond loopback without a password, and a port that is in use.
    pub fn start(
        options: &ServerOptions,
        metrics: Arc<JobMetrics>,
        pages: &[Page],
        live: Live,
    ) -> Result<Self> {
        Self::serve(options, router(metrics, None, pages, live.clone()), Requests::default(), live)
    }

    fn serve(options: &ServerOptions, router: Router, requests: Requests, live: Live) -> Result<Self> {
        let listener = listen(options)?;
        let address = listener.local_addr().map_err(|error| failed("the address is unknown", error))?;
        let router = router.layer(from_fn_with_state(options.password.clone(), auth::check));
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| failed("no runtime can be started", error))?;
        let serve = move || runtime.block_on(serve(listener, router, stopped));
        let thread = Builder::new().name("millstream-http".into()).spawn(serve);
        let thread = thread.map_err(|error| failed("no thread can be started", error))?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread), requests, live })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.requests.wait_until_delivered(LAST_ANSWER);
        self.live.close();
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A server that panicked has said so; there is nothing to add.
            let _ = thread.join();
        }
    }
}

fn failed(what: &str, error: std::io::Error) -> Error {
    Error::configuration(format!("the page cannot be served: {what}")).caused_by(error)
}

fn listen(options: &ServerOptions) -> Result<TcpListener> {
    let address = options.address()?;
    let listener = TcpListener::bind(address).map_err(|error| {
        Error::configuration(format!(
            "{address} cannot be listened on: choose another port (0 takes a free one), or end what listens there, such as another run \
             of this job"
        ))
        .caused_by(error)
    })?;
    listener.set_nonblocking(true).map_err(|error| failed("the socket cannot be set up", error))?;
    Ok(listener)
}

fn router(metrics: Arc<JobMetrics>, job: Option<JobControl>, pages: &[Page], live: Live) -> Router {
    let metrics = move || {
        let mut text = prometheus::metrics(&metrics);
        text.extend(job.as_ref().map(prometheus::job::metrics));
        async move { ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text) }
    };
    let router = Router::new().route("/metrics", get(metrics));
    let router = router.route("/live", get(move || async move { live.events() }));
    pages.iter().fold(router, |router, page| {
        let page = *page;
        router.route(
            page.path,
            get(move || async move { ([(header::CONTENT_TYPE, page.content_type)], page.content) }),
        )
    })
}

// When it is time to stop, answers that are under way are finished, so that pages get the last document.
async fn serve(listener: TcpListener, router: Router, stopped: oneshot::Receiver<()>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!("the page cannot be served: {error}"),
    };
    let stopped = stopped.map(drop).shared();
    let over = stopped.clone().then(|()| tokio::time::sleep(LAST_DOCUMENT));
    tokio::select! {
        served = axum::serve(listener, router).with_graceful_shutdown(stopped) => {
            if let Err(error) = served {
                tracing::error!("the page is no longer served: {error}");
            }
        }
        () = over => {}
    }
}
