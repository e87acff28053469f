//! A point in a stage that rows pass: what comes after it is added call by call, and built per subtask, back
//! to front.

use std::sync::Arc;

use millstream_operators::chain::{Fanout, Side};
use millstream_record::Data;
use millstream_stage::Push;
use parking_lot::Mutex;

type Make<T> = Arc<dyn Fn() -> T + Send + Sync>;

/// A list of factories that grows while the pipeline is described and is read when subtasks are made.
struct Makers<T>(Mutex<Vec<Make<T>>>);

impl<T> Makers<T> {
    fn add(&self, make: impl Fn() -> T + Send + Sync + 'static) {
        self.0.lock().push(Arc::new(make));
    }

    fn build(&self) -> Vec<T> {
        let makers = self.0.lock().clone();
        makers.iter().map(|make| make()).collect()
    }
}

/// The consumers of a stream within its stage.
pub(crate) struct Node<T: Data>(Makers<Box<dyn Push<T>>>);

impl<T: Data> Node<T> {
    pub(crate) fn shared() -> Arc<Self> {
        Arc::new(Self(Makers(Mutex::default())))
    }

    pub(crate) fn add(&self, make: impl Fn() -> Box<dyn Push<T>> + Send + Sync + 'static) {
        self.0.add(make);
    }

    pub(crate) fn build(&self) -> Box<dyn Push<T>> {
        Fanout::of(self.0.build())
    }
}

/// The side outputs of one operator that somebody reads.
pub(crate) struct Sides(Makers<Side>);

impl Sides {
    pub(crate) fn shared() -> Arc<Self> {
        Arc::new(Self(Makers(Mutex::default())))
    }

    pub(crate) fn add(&self, make: impl Fn() -> Side + Send + Sync + 'static) {
        self.0.add(make);
    }

    pub(crate) fn build(&self) -> Vec<Side> {
        self.0.build()
    }
}
