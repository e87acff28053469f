//! Which ranges of a file to read for some of its blocks.

use std::ops::Range;

use super::index::BlockRef;

/// A request costs about as much time as so many bytes: smaller gaps are read along.
const GAP_BYTES: u64 = 256 << 10;

/// A run ends when it has so many bytes.
const RUN_BYTES: u64 = 4 << 20;

/// One range to read, and the blocks in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) range: Range<u64>,
    pub(super) blocks: Vec<BlockRef>,
}

/// Joins blocks, ordered by offset, to runs.
pub(super) fn runs(blocks: impl IntoIterator<Item = BlockRef>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for block in blocks {
        let range = block.range();
        match runs.last_mut() {
            Some(run) if joins(&run.range, &range) => {
                run.range.end = range.end;
                run.blocks.push(block);
            }
            _ => runs.push(Run { range, blocks: vec![block] }),
        }
    }
    runs
}

fn joins(run: &Range<u64>, next: &Range<u64>) -> bool {
    next.start >= run.end && next.start - run.end <= GAP_BYTES && next.end - run.start <= RUN_BYTES
}

#[cfg(test)]
mod tests {
    use super::super::block::Codec;
    use super::*;

    fn block(offset: u64, stored: u32) -> BlockRef {
        BlockRef {
            section: 0,
            group: 0,
            codec: Codec::Plain,
            offset,
            stored,
            raw: stored,
            entries: 1,
            checksum: 0,
        }
    }

    fn ranges(blocks: &[(u64, u32)]) -> Vec<Range<u64>> {
        let blocks = blocks.iter().map(|(offset, stored)| block(*offset, *stored));
        runs(blocks).into_iter().map(|run| run.range).collect()
    }

    #[test]
    fn near_blocks_are_read_together_and_far_ones_are_not() {
        assert_eq!(ranges(&[(16, 10), (26, 10), (100, 10)]).as_slice(), std::slice::from_ref(&(16..110)));
        assert_eq!(ranges(&[(16, 10), (GAP_BYTES + 27, 10)]), [16..26, GAP_BYTES + 27..GAP_BYTES + 37]);
        assert_eq!(ranges(&[]), []);
    }

    #[test]
    fn a_run_is_bounded_unless_one_block_is_larger() {
        let part = RUN_BYTES as u32 / 4;
        let five: Vec<_> = (0..5).map(|number| (16 + number * u64::from(part), part)).collect();
        assert_eq!(ranges(&five).len(), 2);
        assert_eq!(ranges(&[(16, 5 << 20), (16 + (5 << 20), 10)]).len(), 2);
    }
}
