//! Sixteen bytes at a time: where a string or a run of digits stops.
//!
//! Each function answers a mask: bit *i* says that byte *i* stops the run. Bit 16 is always set, so that
//! counting trailing zeros gives the length of the run, 16 when nothing stops it here.

/// How many bytes one look covers.
pub(crate) const LANES: usize = 16;

const NOTHING_HERE: u32 = 1 << LANES;

/// The bytes from `at` on. The caller's buffer has [`PADDING`](millstream_stage::raw::PADDING) bytes behind
/// the message that `at` is in.
#[inline(always)]
pub(crate) fn lanes(data: &[u8], at: usize) -> &[u8; LANES] {
    data[at..].first_chunk().expect("64 readable bytes follow each message")
}

/// What ends or complicates a string: quote, backslash, control character, byte beyond ASCII.
#[inline(always)]
pub(crate) fn ascii_stops(bytes: &[u8; LANES]) -> u32 {
    simd::ascii_stops(bytes) | NOTHING_HERE
}

/// What ends a string or is special in it: quote, backslash, control character.
#[inline(always)]
pub(crate) fn text_stops(bytes: &[u8; LANES]) -> u32 {
    simd::text_stops(bytes) | NOTHING_HERE
}

/// Everything but a digit.
#[inline(always)]
pub(crate) fn digit_stops(bytes: &[u8; LANES]) -> u32 {
    simd::digit_stops(bytes) | NOTHING_HERE
}

/// SSE2 is part of every x86-64: no detection is needed, and the functions inline into the loops that call
/// them.
#[cfg(target_arch = "x86_64")]
mod simd {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_cmpgt_epi8, _mm_cmplt_epi8, _mm_loadu_si128, _mm_min_epu8,
        _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8, _mm_sub_epi8,
    };

    use super::LANES;

    #[inline]
    #[target_feature(enable = "sse2")]
    fn load(bytes: &[u8; LANES]) -> __m128i {
        // SAFETY: the reference is to 16 readable bytes, and this load asks for no alignment.
        unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn mask(lanes: __m128i) -> u32 {
        _mm_movemask_epi8(lanes) as u32
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn quote_or_backslash(lanes: __m128i) -> __m128i {
        let quote = _mm_cmpeq_epi8(lanes, _mm_set1_epi8(b'"' as i8));
        _mm_or_si128(quote, _mm_cmpeq_epi8(lanes, _mm_set1_epi8(b'\\' as i8)))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn ascii(bytes: &[u8; LANES]) -> u32 {
        let lanes = load(bytes);
        // As signed numbers, bytes beyond ASCII are below a space too.
        let low = _mm_cmplt_epi8(lanes, _mm_set1_epi8(0x20));
        mask(_mm_or_si128(low, quote_or_backslash(lanes)))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn text(bytes: &[u8; LANES]) -> u32 {
        let lanes = load(bytes);
        let control = _mm_cmpeq_epi8(_mm_min_epu8(lanes, _mm_set1_epi8(0x1f)), lanes);
        mask(_mm_or_si128(control, quote_or_backslash(lanes)))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn digits(bytes: &[u8; LANES]) -> u32 {
        // Moved so that the digits are the lowest of all signed numbers.
        let moved = _mm_sub_epi8(load(bytes), _mm_set1_epi8((b'0' ^ 0x80) as i8));
        mask(_mm_cmpgt_epi8(moved, _mm_set1_epi8(i8::MIN + 9)))
    }

    #[inline(always)]
    pub(super) fn ascii_stops(bytes: &[u8; LANES]) -> u32 {
        // SAFETY: every x86-64 has SSE2.
        unsafe { ascii(bytes) }
    }

    #[inline(always)]
    pub(super) fn text_stops(bytes: &[u8; LANES]) -> u32 {
        // SAFETY: every x86-64 has SSE2.
        unsafe { text(bytes) }
    }

    #[inline(always)]
    pub(super) fn digit_stops(bytes: &[u8; LANES]) -> u32 {
        // SAFETY: every x86-64 has SSE2.
        unsafe { digits(bytes) }
    }
}

#[cfg(not(target_arch = "x86_64"))]
use portable as simd;

/// The same in plain Rust: elsewhere, and as the judge of the other in tests.
#[cfg(any(test, not(target_arch = "x86_64")))]
mod portable {
    use super::LANES;

    fn mask(bytes: &[u8; LANES], stops: impl Fn(u8) -> bool) -> u32 {
        bytes.iter().enumerate().fold(0, |mask, (index, byte)| mask | u32::from(stops(*byte)) << index)
    }

    pub(super) fn ascii_stops(bytes: &[u8; LANES]) -> u32 {
        mask(bytes, |byte| matches!(byte, b'"' | b'\\' | 0..=0x1f | 0x80..))
    }

    pub(super) fn text_stops(bytes: &[u8; LANES]) -> u32 {
        mask(bytes, |byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))
    }

    pub(super) fn digit_stops(bytes: &[u8; LANES]) -> u32 {
        mask(bytes, |byte| !byte.is_ascii_digit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_and_plain_rust_agree_on_every_byte_in_every_lane() {
        for byte in 0..=255_u8 {
            for index in 0..LANES {
                for filler in [b'7', b'a', 0xff, b'"'] {
                    let mut bytes = [filler; LANES];
                    bytes[index] = byte;
                    assert_eq!(simd::ascii_stops(&bytes), portable::ascii_stops(&bytes), "{bytes:?}");
                    assert_eq!(simd::text_stops(&bytes), portable::text_stops(&bytes), "{bytes:?}");
                    assert_eq!(simd::digit_stops(&bytes), portable::digit_stops(&bytes), "{bytes:?}");
                }
            }
        }
    }

    #[test]
    fn a_run_that_nothing_stops_is_16_long() {
        assert_eq!(digit_stops(b"0123456789012345").trailing_zeros(), 16);
        assert_eq!(ascii_stops(b"abc\"efghijklmnop").trailing_zeros(), 3);
        assert_eq!(text_stops("12345é\"90123456".as_bytes().first_chunk().unwrap()).trailing_zeros(), 7);
    }
}
