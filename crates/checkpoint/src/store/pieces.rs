//! What a runtime reads, handed to a caller who may wait for it: not to the runtime's own threads.

use futures::{Stream, StreamExt};
use millstream_record::{Error, Result};
use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc;

/// Pieces between the storage and the reader.
const AHEAD: usize = 2;

/// Where pieces go.
pub(crate) struct Pieces<T>(mpsc::Sender<Piece<T>>);

enum Piece<T> {
    Next(Result<T>),
    End,
}

impl<T> Pieces<T> {
    /// Sends all pieces, unless the reader has seen enough.
    pub(crate) async fn send(self, mut from: impl Stream<Item = Result<T>> + Unpin) {
        while let Some(piece) = from.next().await {
            if self.0.send(Piece::Next(piece)).await.is_err() {
                return;
            }
        }
        // A reader that is gone needs no end.
        let _ = self.0.send(Piece::End).await;
    }
}

/// Takes all pieces that `bring` sends. Where the runtime is gone, the caller's thread brings them.
///
/// # Errors
/// Returns the errors of `bring` and `take`.
pub(crate) fn take_all<T, F>(
    runtime: &Handle,
    bring: impl Fn(Pieces<T>) -> F,
    take: &mut dyn FnMut(T) -> Result<()>,
) -> Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let (pieces, mut arrived) = mpsc::channel(AHEAD);
    runtime.spawn(bring(Pieces(pieces)));
    match futures::executor::block_on(taken(&mut arrived, take))? {
        Taken::All => Ok(()),
        Taken::Some => Err(Error::restart("the runtime that reads the snapshot has ended")),
        Taken::Nothing => take_here(bring, take),
    }
}

fn take_here<T, F>(bring: impl Fn(Pieces<T>) -> F, take: &mut dyn FnMut(T) -> Result<()>) -> Result<()>
where
    F: Future<Output = ()>,
{
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime
        .map_err(|cause| Error::restart("cannot make a runtime to read a snapshot").caused_by(cause))?;
    let (pieces, mut arrived) = mpsc::channel(AHEAD);
    let both = async {
        // A reader that fails must not be waited for by who brings more.
        let taken = async {
            let taken = taken(&mut arrived, take).await;
            drop(arrived);
            taken
        };
        futures::join!(bring(Pieces(pieces)), taken).1
    };
    runtime.block_on(both).map(drop)
}

enum Taken {
    All,
    Some,
    Nothing,
}

async fn taken<T>(
    arrived: &mut mpsc::Receiver<Piece<T>>,
    take: &mut dyn FnMut(T) -> Result<()>,
) -> Result<Taken> {
    let mut so_far = Taken::Nothing;
    while let Some(piece) = arrived.recv().await {
        match piece {
            Piece::Next(piece) => take(piece?)?,
            Piece::End => return Ok(Taken::All),
        }
        so_far = Taken::Some;
    }
    Ok(so_far)
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    fn numbers(runtime: &Handle, upto: u32) -> Result<Vec<u32>> {
        let mut all = Vec::new();
        let bring = |pieces: Pieces<u32>| pieces.send(stream::iter((0..10).map(Ok)));
        take_all(runtime, bring, &mut |number| {
            all.push(number);
            if number < upto { Ok(()) } else { Err(Error::data("enough")) }
        })?;
        Ok(all)
    }

    #[test]
    fn pieces_come_in_order_and_also_when_the_runtime_is_gone() {
        let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let handle = runtime.handle().clone();
        for gone in [None, Some(runtime)] {
            drop(gone);
            assert_eq!(numbers(&handle, 10).unwrap(), (0..10).collect::<Vec<_>>());
            assert!(numbers(&handle, 3).unwrap_err().chain().contains("enough"));
        }
    }
}
