//! A sink of your own: it sends each record as a line of text to a TCP server.
//!
//! `nc -lk 7000` and then `cargo run -p examples --example own_sink -- 127.0.0.1:7000`

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;

use millstream::io::Completions;
use millstream::metrics::OperatorMetrics;
use millstream::prelude::*;
use millstream::snapshot::{CheckpointId, Frozen};
use millstream::time::Nanos;
use millstream::{Budget, Context, Guarantee, OpenContext, Rows, Sink, SinkWriter, Step};

/// How much is buffered while a write is under way; more holds the stream back.
const MOST_BUFFERED: usize = 1 << 20;

struct TcpLines {
    address: String,
}

impl Sink<String> for TcpLines {
    fn kind(&self) -> &'static str {
        "tcp-lines"
    }

    // After a crash, what was sent since the last checkpoint is sent again.
    fn guarantee(&self) -> Guarantee {
        Guarantee::AtLeastOnce
    }

    fn writer(&self, name: &str, cx: &mut OpenContext) -> Result<Box<dyn SinkWriter<String>>> {
        let refused = |error| Error::retry(format!("no connection to {}", self.address)).caused_by(error);
        let stream = Arc::new(TcpStream::connect(&self.address).map_err(refused)?);
        let (next, sends) = (Block::default(), Completions::default());
        Ok(Box::new(LineWriter { stream, next, sends, metrics: cx.metrics_of(name) }))
    }
}

/// Lines that are sent together.
#[derive(Default)]
struct Block {
    lines: Vec<u8>,
    records: u64,
    ingest: Nanos,
}

struct LineWriter {
    stream: Arc<TcpStream>,
    next: Block,
    sends: Completions<std::io::Result<Block>>,
    metrics: Arc<OperatorMetrics>,
}

impl LineWriter {
    // A writer never blocks: the context runs what does, and calls `resume` when it is done.
    fn advance(&mut self, cx: &Context<'_>) -> Result<Step> {
        for sent in self.sends.drain()? {
            let block = sent.map_err(|error| Error::retry("the connection is lost").caused_by(error))?;
            self.metrics.bytes_out.add(block.lines.len() as u64);
            self.metrics.latency.record(cx.nanos().saturating_sub(block.ingest), block.records);
        }
        if self.sends.in_flight() == 0 && self.next.records > 0 {
            let (stream, block) = (Arc::clone(&self.stream), std::mem::take(&mut self.next));
            let send = move || (&*stream).write_all(&block.lines).map(|()| block);
            self.sends.spawn_blocking(cx.io().as_ref(), cx.waker(), send);
        }
        Ok(if self.next.lines.len() >= MOST_BUFFERED { Step::BLOCKED } else { Step::DONE })
    }
}

impl SinkWriter<String> for LineWriter {
    fn write(
        &mut self,
        cx: &mut Context<'_>,
        rows: &mut Rows<String>,
        _: &mut Rows<DeadLetter>,
    ) -> Result<Step> {
        for (record, _) in rows.drain() {
            self.next.lines.extend_from_slice(record.as_bytes());
            self.next.lines.push(b'\n');
            self.next.records += 1;
        }
        self.next.ingest = cx.ingest;
        self.advance(cx)
    }

    fn resume(&mut self, cx: &mut Context<'_>, _: Budget, _: &mut Rows<DeadLetter>) -> Result<Step> {
        self.advance(cx)
    }

    // Complete when all was sent: at the end of the input, and before each checkpoint.
    fn flush(&mut self, cx: &mut Context<'_>, _: &mut Rows<DeadLetter>) -> Result<Step> {
        let step = self.advance(cx)?;
        Ok(if self.sends.in_flight() > 0 { Step::BLOCKED } else { step })
    }

    // Nothing: a flush came before.
    fn snapshot(&mut self, _: CheckpointId, _: &mut Frozen) -> Result<()> {
        Ok(())
    }
}

fn greet(address: String) -> Environment {
    let env = Environment::new("own-sink");
    let names = ["world", "Millstream"].map(str::to_owned);
    env.source("names", Collection::of(names))
        .map("greet", |name| format!("hello, {name}"))
        .sink_to("greetings", TcpLines { address });
    env
}

fn main() -> Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7000".to_owned());
    greet(address).execute()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_server_gets_every_line() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let received = std::thread::scope(|scope| {
            let server = scope.spawn(|| {
                let mut text = String::new();
                listener.accept().unwrap().0.read_to_string(&mut text).map(|_| text)
            });
            greet(address).execute().unwrap();
            server.join().unwrap().unwrap()
        });
        assert_eq!(received, "hello, world\nhello, Millstream\n");
    }
}
