//! Chance by position: what is drawn for an event depends on the seed, the stream and the event's position,
//! and on nothing before it.

use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const WORDS: usize = 16;

/// Draws for the positions of one stream: one block of the cipher, 64 bytes, for each. In order it costs no
/// more than any generator; going to another position is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Chance {
    rng: ChaCha8Rng,
    next: u64,
}

impl Chance {
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self { rng, next: 0 }
    }

    /// What is drawn at a position.
    pub(crate) fn at(&mut self, position: u64) -> Draw {
        if position != self.next {
            self.rng.set_word_pos(u128::from(position) * WORDS as u128);
        }
        self.next = position + 1;
        let mut bytes = [0; 4 * WORDS];
        self.rng.fill_bytes(&mut bytes);
        let mut words = [0; WORDS];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        Draw(words)
    }
}

/// Sixteen words of chance. Each decision has a word of its own, so that a new decision changes no old one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw([u32; WORDS]);

/// What a word decides.
#[derive(Clone, Copy, Debug)]
pub(crate) enum For {
    Fault,
    FaultKind,
    FaultWhere,
    Time,
    User,
    Hot,
    Item,
    Behavior,
    Page,
    Shuffle,
}

impl Draw {
    /// All 32 bits.
    pub(crate) fn word(&self, what: For) -> u32 {
        self.0[what as usize]
    }

    /// At least 0 and less than 1.
    pub(crate) fn unit(&self, what: For) -> f64 {
        f64::from(self.word(what)) / (f64::from(u32::MAX) + 1.0)
    }

    /// At least 0 and less than `bound`, or 0 where that is 0.
    pub(crate) fn below(&self, what: For, bound: u64) -> u64 {
        ((u128::from(self.word(what)) * u128::from(bound)) >> 32) as u64
    }
}

/// A number that is as good as drawn, but always the same for the same value (SplitMix64's finalizer).
pub(crate) fn scatter(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_gives_the_same_however_it_is_reached() {
        let mut forward = Chance::new(7, 3);
        let words: Vec<_> = (0..50).map(|position| forward.at(position).0).collect();
        let mut jumping = Chance::new(7, 3);
        for position in [49, 0, 13, 14, 13, 48, 49] {
            assert_eq!(jumping.at(position).0, words[position as usize], "{position}");
        }
        assert_ne!(Chance::new(7, 4).at(0).0, words[0]);
        assert_ne!(Chance::new(8, 3).at(0).0, words[0]);
    }

    #[test]
    fn seeds_are_promises() {
        let draw = Chance::new(1, 0).at(0);
        assert_eq!((draw.0[0], draw.0[15]), (SEED_1.0, SEED_1.1));
    }

    const SEED_1: (u32, u32) = (2_359_561_649, 655_638_338);
}
