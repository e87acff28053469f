//! Puts results on the board.

use std::sync::Arc;

use millstream::Result;
use millstream::Rows;
use millstream::prelude::*;
use millstream::sink::{Backlog, Guarantee, Sink, SinkWriter};
use millstream::snapshot::{CheckpointId, Frozen};
use millstream::{Budget, Context, OpenContext, Step};

use super::Board;
use crate::pipeline::Pipeline;

/// Shows a pipeline's results on a board.
pub fn show(pipeline: &Pipeline, board: &Arc<Board>) {
    if let Some(rows) = &pipeline.tables.pv_uv {
        rows.sink_to("pv-uv-to-page", BoardSink::new(board, Board::pv_uv));
    }
    if let Some((rankings, _)) = &pipeline.tables.hot_items {
        rankings.sink_to("hot-items-to-page", BoardSink::new(board, Board::hot_items));
    }
    pipeline.dead_letters.sink_to("dead-letters-to-page", BoardSink::new(board, Board::dead_letter));
}

/// What puts one record on the board.
type Put<T> = fn(&Board, &T);

struct BoardSink<T> {
    board: Arc<Board>,
    put: Put<T>,
}

impl<T> BoardSink<T> {
    fn new(board: &Arc<Board>, put: Put<T>) -> Self {
        Self { board: Arc::clone(board), put }
    }
}

impl<T: Data> Sink<T> for BoardSink<T> {
    fn kind(&self) -> &'static str {
        "page"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::AtLeastOnce
    }

    fn writer(&self, _: &str, _: &mut OpenContext) -> Result<Box<dyn SinkWriter<T>>> {
        Ok(Box::new(BoardWriter { board: Arc::clone(&self.board), put: self.put }))
    }
}

struct BoardWriter<T> {
    board: Arc<Board>,
    put: Put<T>,
}

impl<T: Data> SinkWriter<T> for BoardWriter<T> {
    fn write(&mut self, _: &mut Context<'_>, rows: &mut Rows<T>, _: &mut Rows<DeadLetter>) -> Result<Step> {
        rows.rec.iter().for_each(|record| (self.put)(&self.board, record));
        Ok(Step::DONE)
    }

    fn resume(&mut self, _: &mut Context<'_>, _: Budget, _: &mut Rows<DeadLetter>) -> Result<Step> {
        Ok(Step::DONE)
    }

    fn flush(&mut self, _: &mut Context<'_>, _: &mut Rows<DeadLetter>) -> Result<Step> {
        Ok(Step::DONE)
    }

    fn snapshot(&mut self, _: CheckpointId, _: &mut Frozen) -> Result<()> {
        Ok(())
    }

    // The board has it at once.
    fn backlog(&self) -> Option<Backlog> {
        Some(Backlog::default())
    }
}
