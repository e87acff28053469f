//! A sink whose output is part of the checkpoint, and is written in one transaction with a marker once that
//! is complete.

use std::collections::VecDeque;

use millstream_record::Result;
use millstream_record::record::{from_bytes, to_bytes};
use millstream_stage::context::OpenContext;
use millstream_stage::dead_letter::DeadLetter;
use millstream_stage::io::Completions;
use millstream_stage::sink::{Guarantee, Sink, SinkWriter};
use millstream_stage::snapshot::{CheckpointId, Frozen, OperatorList, Redistribute};
use millstream_stage::step::{Budget, Step};
use millstream_stage::{Context, Rows};

use crate::stores::{CallError, Row, SharedStore, Topic};
use crate::upserts::fenced;

/// The sink.
#[derive(Clone)]
pub(crate) struct Transactions(pub(crate) SharedStore<Topic>);

/// The output of one interval of one subtask.
#[derive(Clone)]
struct Part {
    /// Who wrote it first: attempt, checkpoint, subtask.
    origin: (u64, CheckpointId, u16),
    rows: Vec<Row>,
    ready: bool,
}

#[derive(Clone)]
enum Call {
    Init(u16),
    /// Whether it must be looked for first.
    Commit(Part, bool),
}

struct Writer {
    topic: SharedStore<Topic>,
    name: String,
    epoch: u64,
    subtask: u16,
    current: Vec<Row>,
    parts: VecDeque<Part>,
    /// Writers of earlier attempts that must be fenced before anything is committed.
    to_init: Vec<u16>,
    completed: Option<CheckpointId>,
    call: Option<(Call, i64)>,
    calls: Completions<(Call, Result<(), CallError>)>,
}

impl Sink<Row> for Transactions {
    fn kind(&self) -> &'static str {
        "transactions"
    }
    fn guarantee(&self) -> Guarantee {
        Guarantee::Transactional
    }
    fn writer(&self, name: &str, cx: &mut OpenContext) -> Result<Box<dyn SinkWriter<Row>>> {
        let mut writer = Writer {
            topic: self.0.clone(),
            name: name.to_owned(),
            epoch: cx.epoch,
            subtask: cx.subtask,
            current: Vec::new(),
            parts: VecDeque::new(),
            to_init: vec![cx.subtask],
            completed: None,
            call: None,
            calls: Completions::default(),
        };
        writer.restore(cx.restored.take_list(name, "parts"), cx.parallelism)?;
        Ok(Box::new(writer))
    }
}

impl Part {
    fn marker(&self) -> String {
        let (epoch, checkpoint, subtask) = self.origin;
        format!("{epoch}-{checkpoint}-{subtask}")
    }

    fn encode(&self) -> Vec<u8> {
        let mut words = vec![self.origin.0, self.origin.1, u64::from(self.origin.2)];
        words.extend(self.rows.iter().flat_map(|(key, value)| [*key, *value]));
        to_bytes(&words)
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let words: Vec<u64> = from_bytes(bytes)?;
        let rows = words[3..].chunks(2).map(|row| (row[0], row[1])).collect();
        Ok(Self { origin: (words[0], words[1], words[2] as u16), rows, ready: true })
    }
}

impl Writer {
    fn restore(&mut self, items: Vec<Vec<u8>>, parallelism: u16) -> Result<()> {
        for item in items {
            let part = Part::decode(&item)?;
            // Of all parts of one earlier subtask the same subtask takes care.
            if part.origin.2 % parallelism == self.subtask {
                if !self.to_init.contains(&part.origin.2) {
                    self.to_init.push(part.origin.2);
                }
                self.parts.push_back(part);
            }
        }
        self.parts.make_contiguous().sort_by_key(|part| part.origin);
        Ok(())
    }

    fn drive(&mut self, cx: &Context<'_>) -> Result<()> {
        for (call, result) in self.calls.drain()? {
            match result {
                Ok(()) => {
                    if let Call::Commit(part, _) = call {
                        self.parts.retain(|other| other.origin != part.origin);
                    }
                }
                Err(CallError::Fenced) => return Err(fenced()),
                Err(CallError::Away) => {
                    let again = match call {
                        Call::Commit(part, _) => Call::Commit(part, true),
                        init @ Call::Init(_) => init,
                    };
                    self.call = Some((again, cx.now() + 2));
                }
            }
        }
        if self.calls.in_flight() == 0 {
            self.next_call(cx);
        }
        Ok(())
    }

    fn next_call(&mut self, cx: &Context<'_>) {
        if let Some((call, at)) = self.call.take() {
            if at > cx.now() {
                self.call = Some((call, at));
                return;
            }
            return self.start(cx, call);
        }
        if let Some(id) = self.to_init.pop() {
            return self.start(cx, Call::Init(id));
        }
        if let Some(part) = self.parts.front().filter(|part| part.ready).cloned() {
            let restored = part.origin.0 != self.epoch;
            self.start(cx, Call::Commit(part, restored));
        }
    }

    fn start(&mut self, cx: &Context<'_>, call: Call) {
        let (topic, epoch) = (self.topic.clone(), self.epoch);
        let nap = cx.io().sleep(topic.delay());
        let pause = cx.io().sleep(topic.delay());
        self.calls.spawn(cx.io().as_ref(), cx.waker(), async move {
            nap.await;
            let result = match &call {
                Call::Init(id) => topic.init(*id, epoch),
                Call::Commit(part, look) => {
                    let written = if *look { topic.has(&part.marker()) } else { Ok(false) };
                    match written {
                        Err(trouble) => Err(trouble),
                        Ok(true) => Ok(()),
                        Ok(false) => {
                            // Between the look and the transaction much may happen elsewhere.
                            pause.await;
                            topic.commit(part.origin.2, epoch, &part.marker(), &part.rows)
                        }
                    }
                }
            };
            (call, result)
        });
    }

    fn step(&self) -> Step {
        let wake_at = self.call.as_ref().map(|(_, at)| *at);
        Step { wake_at, ..Step::DONE }
    }

    fn has_orders(&self) -> bool {
        self.calls.in_flight() > 0
            || self.call.is_some()
            || !self.to_init.is_empty()
            || self.parts.iter().any(|part| part.ready)
    }
}

impl SinkWriter<Row> for Writer {
    fn write(
        &mut self,
        cx: &mut Context<'_>,
        rows: &mut Rows<Row>,
        _: &mut Rows<DeadLetter>,
    ) -> Result<Step> {
        self.current.extend(rows.drain().map(|(row, _)| row));
        self.drive(cx)?;
        Ok(self.step())
    }

    fn resume(&mut self, cx: &mut Context<'_>, _: Budget, _: &mut Rows<DeadLetter>) -> Result<Step> {
        self.drive(cx)?;
        Ok(self.step())
    }

    fn flush(&mut self, cx: &mut Context<'_>, _: &mut Rows<DeadLetter>) -> Result<Step> {
        self.drive(cx)?;
        Ok(Step { blocked: self.has_orders(), ..self.step() })
    }

    fn prepare(&mut self, cx: &mut Context<'_>, id: CheckpointId, _: &mut Rows<DeadLetter>) -> Result<Step> {
        self.drive(cx)?;
        // Of one that is complete already: it is the last, and what it ordered must be done.
        let blocked = self.completed == Some(id) && self.has_orders();
        Ok(Step { blocked, ..self.step() })
    }

    fn snapshot(&mut self, id: CheckpointId, frozen: &mut Frozen) -> Result<()> {
        let rows = std::mem::take(&mut self.current);
        if !rows.is_empty() {
            self.parts.push_back(Part { origin: (self.epoch, id, self.subtask), rows, ready: false });
        }
        frozen.lists.push(OperatorList {
            operator: self.name.clone(),
            state: "parts".into(),
            items: self.parts.iter().map(Part::encode).collect(),
            redistribute: Redistribute::Union,
        });
        Ok(())
    }

    fn completed(&mut self, cx: &mut Context<'_>, id: CheckpointId) -> Result<()> {
        self.completed = Some(id);
        let complete = |part: &&mut Part| part.origin.1 <= id || part.origin.0 != self.epoch;
        self.parts.iter_mut().filter(complete).for_each(|part| part.ready = true);
        self.drive(cx)
    }
}
