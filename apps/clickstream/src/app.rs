//! The application, as the common commands `run` and `plan` know it.

use std::sync::Arc;

#[cfg(feature = "servers")]
use millstream::cli::System;
use millstream::cli::{Application, Config, Running, logs, schema_of};
use millstream::prelude::*;
use millstream::runtime::JobHandle;
use millstream::server::ServerOptions;
use schemars::Schema;

use crate::options::Options;
use crate::page::{Board, LivePage, show};
use crate::parts;
use crate::pipeline;
#[cfg(feature = "servers")]
use crate::systems::systems;

/// The shop's job, with a board for the page.
pub struct Shop {
    board: Option<Arc<Board>>,
}

impl Default for Shop {
    fn default() -> Self {
        Self { board: Some(Arc::default()) }
    }
}

impl Shop {
    /// The job where nobody serves a page: in Flink.
    pub fn without_page() -> Self {
        Self { board: None }
    }
}

impl Application for Shop {
    type Options = Options;

    fn name(&self) -> &'static str {
        "clickstream"
    }

    fn about(&self) -> &'static str {
        "The click stream of an online shop: counts, rankings, visitors"
    }

    fn build(&self, options: &Options, env: &Environment) -> Result<()> {
        let pipeline = pipeline::build(options, env)?;
        if let Some(board) = &self.board {
            show(&pipeline, board);
        }
        Ok(())
    }

    fn part_of(&self, options: &Options, operator: &str) -> Option<String> {
        parts::part_of(options, operator)
    }

    fn options_schema(&self) -> Option<Schema> {
        Some(schema_of::<Options>())
    }

    #[cfg(feature = "servers")]
    fn systems(&self, config: &Config<Options>) -> Vec<System> {
        systems(&config.app)
    }

    // A second run of the same job, begun by mistake, must not take it over only to fail at the first one's
    // port.
    fn check(&self, config: &Config<Options>, runs: bool) -> Result<()> {
        match page(config)?.filter(|_| self.board.is_some()) {
            Some(page) if runs => page.try_port(),
            Some(page) => page.validate(),
            None if config.app.sinks.is_empty() => Err(Error::configuration(
                "sinks: [] writes nothing anywhere: name a store, or set rest.port to see the results on the page",
            )),
            None => Ok(()),
        }
    }

    fn started(&self, config: &Config<Options>, job: &JobHandle) -> Result<Option<Running>> {
        let (Some(options), Some(board)) = (page(config)?, &self.board) else {
            return Ok(None);
        };
        let page = LivePage::start(&options, &config.app, &job.control(), board)?;
        logs::err(&format!("live page: {}", page.url()));
        Ok(Some(Box::new(page)))
    }
}

// Where the page is served, if it is.
fn page(config: &Config<Options>) -> Result<Option<ServerOptions>> {
    let engine = &config.engine;
    let Some(port) = engine.port else {
        return Ok(None);
    };
    let bind_address = engine.bind_address.clone();
    Ok(Some(ServerOptions { bind_address, port, password: engine.password()? }))
}
