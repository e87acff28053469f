//! The live page: what the job counts, as it counts it.

mod board;
mod board_sink;
mod sampler;

pub use board::Board;
pub use board_sink::show;

use std::sync::Arc;

use millstream::Result;
use millstream::runtime::JobControl;
use millstream::server::{Live, Page, Server, ServerOptions};

use self::sampler::Sampler;

/// Everything that the page loads, built into the program: it works without a network.
const FILES: [Page; 5] = [
    Page { path: "/", content_type: "text/html; charset=utf-8", content: include_str!("../page/index.html") },
    Page { path: "/page.css", content_type: "text/css", content: include_str!("../page/page.css") },
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
    server: Server,
    // Dropped before the server: the last picture is pushed first.
    _sampler: Sampler,
}

impl LivePage {
    /// Serves the page of a running job.
    ///
    /// # Errors
    /// Those of [`Server::start`].
    pub fn start(options: &ServerOptions, job: &JobControl, board: &Arc<Board>) -> Result<Self> {
        let live = Live::default();
        let server = Server::for_job(options, job, &FILES, live.clone())?;
        let sampler = Sampler::start(job.clone(), Arc::clone(board), live)?;
        Ok(Self { server, _sampler: sampler })
    }

    /// Where to look.
    pub fn url(&self) -> String {
        format!("http://{}/", self.server.address())
    }
}
