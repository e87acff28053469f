//! The live page: what the job counts, as it counts it.

mod board;
mod board_sink;
mod complete;
mod health;
mod latency;
mod picture;
mod progress;
mod sampler;
mod store;

pub use board::Board;
pub use board_sink::show;

use std::sync::Arc;

use millstream::Result;
use millstream::runtime::JobControl;
use millstream::server::{Live, Page, Server, ServerOptions};

use self::picture::Setting;
use self::sampler::Sampler;
use crate::options::Options;

/// Everything that the page loads, built into the program: it works without a network.
const FILES: [Page; 7] = [
    Page { path: "/", content_type: "text/html; charset=utf-8", content: include_str!("../page/index.html") },
    Page { path: "/page.css", content_type: "text/css", content: include_str!("../page/page.css") },
    Page { path: "/format.js", content_type: "text/javascript", content: include_str!("../page/format.js") },
    Page { path: "/chart.js", content_type: "text/javascript", content: include_str!("../page/chart.js") },
    Page { path: "/page.js", content_type: "text/javascript", content: include_str!("../page/page.js") },
    Page {
        path: "/uplot.js",
        content_type: "text/javascript",
        content: include_str!("../page/vendor/uplot-1.6.32/uPlot.iife.min.js"),
    },
    Page {
        path: "/uplot.css",
        content_type: "text/css",
        content: include_str!("../page/vendor/uplot-1.6.32/uPlot.min.css"),
    },
];

/// A page that is being served.
pub struct LivePage {
    // Dropped before the server: the last picture is pushed first.
    _sampler: Sampler,
    server: Server,
}

impl LivePage {
    /// Serves the page of a running job.
    ///
    /// # Errors
    /// Returns the errors of [`Server::start`].
    pub fn start(
        server: &ServerOptions,
        shop: &Options,
        job: &JobControl,
        board: &Arc<Board>,
    ) -> Result<Self> {
        let live = Live::default();
        let server = Server::for_job(server, job, &FILES, live.clone())?;
        let sampler = Sampler::start(job.clone(), Arc::clone(board), Setting::of(shop), live)?;
        Ok(Self { _sampler: sampler, server })
    }

    /// Where to look.
    pub fn url(&self) -> String {
        format!("http://{}/", self.server.address())
    }
}
