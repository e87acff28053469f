//! The ways in which a rig drives the same input.

/// When the stage is replaced by one that was restored from its snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restore {
    Never,
    /// After every step; the inputs' watermarks come again at once.
    EachStep,
    /// After every step; the inputs' watermarks come again only behind the next data.
    MarksLate,
    /// After every step; the snapshot is written out only when the old stage has done the next step too.
    WrittenLate,
    /// After every step, and where a step was cut off by *more*.
    BetweenSlices,
}

/// One way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mode {
    pub(super) name: &'static str,
    /// Records per batch, at most.
    pub(super) batch: usize,
    /// Every batch that goes in or comes out through its codec.
    pub(super) bytes: bool,
    /// Into how many bundles of key groups each batch is cut.
    pub(super) bundles: u16,
    /// Records per `resume`.
    pub(super) budget: usize,
    /// Subtasks: the first number to begin with, the others in turn at each restore.
    pub(super) parallelism: &'static [u16],
    pub(super) restore: Restore,
    /// `resume` is called also when nobody asked for it.
    pub(super) spurious: bool,
    /// Snapshots are taken after every step and told to be complete or aborted.
    pub(super) checkpoints: bool,
}

const PLAIN: Mode = Mode {
    name: "record by record",
    batch: 1,
    bytes: false,
    bundles: 1,
    budget: 4096,
    parallelism: &[1],
    restore: Restore::Never,
    spurious: false,
    checkpoints: false,
};

const ALL: usize = usize::MAX;

/// The first is what the others are compared with.
pub(super) const MODES: &[Mode] = &[
    PLAIN,
    Mode { name: "batches of 2", batch: 2, ..PLAIN },
    Mode { name: "batches of 7", batch: 7, ..PLAIN },
    Mode { name: "one batch", batch: ALL, ..PLAIN },
    Mode { name: "batches through bytes", batch: 3, bytes: true, ..PLAIN },
    Mode { name: "slices of 1 record", batch: ALL, budget: 1, ..PLAIN },
    Mode { name: "woken for nothing", batch: 2, spurious: true, ..PLAIN },
    Mode { name: "snapshots that are never used", batch: 2, checkpoints: true, budget: 1, ..PLAIN },
    Mode { name: "restored after every record", restore: Restore::EachStep, ..PLAIN },
    Mode {
        name: "restored after every batch of 3",
        batch: 3,
        bytes: true,
        restore: Restore::EachStep,
        ..PLAIN
    },
    Mode { name: "restored, watermarks come late", restore: Restore::MarksLate, ..PLAIN },
    Mode { name: "restored from a snapshot written late", restore: Restore::WrittenLate, ..PLAIN },
    Mode { name: "restored between slices", budget: 1, restore: Restore::BetweenSlices, ..PLAIN },
];

/// Only where records can be dealt to several subtasks.
pub(super) const PARALLEL: &[Mode] = &[
    Mode { name: "parallelism 2", batch: 5, parallelism: &[2], ..PLAIN },
    Mode { name: "parallelism 3, through bytes", parallelism: &[3], bytes: true, ..PLAIN },
    Mode { name: "parallelism 3, restored", parallelism: &[3], restore: Restore::EachStep, ..PLAIN },
    Mode { name: "rescaled 1, 2, 3, 1", parallelism: &[1, 2, 3], restore: Restore::EachStep, ..PLAIN },
    Mode {
        name: "rescaled 3, 1, 2 in batches, watermarks come late",
        batch: 4,
        bytes: true,
        parallelism: &[3, 1, 2],
        restore: Restore::MarksLate,
        ..PLAIN
    },
];

/// Only where there is a key.
pub(super) const KEYED: &[Mode] =
    &[Mode { name: "batches cut by key group", batch: ALL, bundles: 5, bytes: true, ..PLAIN }];

impl Mode {
    /// Whether rows must come in the same order as record by record.
    pub(super) fn keeps_order(&self) -> bool {
        self.bundles == 1 && self.parallelism.iter().all(|subtasks| *subtasks == 1)
    }
}
