//! Two messages through the processor's SHA instructions in turn. Each step of one message waits for the one before it, and in that
//! time the other's step is done.
//!
//! The order of the instructions is that of Intel's "SHA Extensions" (S. Gulley et al., 2013), for each message.

use std::arch::x86_64::*;

use super::BLOCK_BYTES;

type Block = [u8; BLOCK_BYTES];

/// Section 4.2.2.
const ROUNDS: [[u32; 4]; 16] = [
    [0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5],
    [0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5],
    [0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3],
    [0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174],
    [0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc],
    [0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da],
    [0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7],
    [0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967],
    [0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13],
    [0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85],
    [0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3],
    [0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070],
    [0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5],
    [0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3],
    [0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208],
    [0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2],
];

/// Compresses as many blocks as both messages have; answers how many, which is none where the processor does not know SHA.
pub(super) fn compress_both(states: [&mut [u32; 8]; 2], blocks: [&[Block]; 2]) -> usize {
    let knows = is_x86_feature_detected!("sha") && is_x86_feature_detected!("sse4.1") && is_x86_feature_detected!("ssse3");
    let count = blocks[0].len().min(blocks[1].len());
    if !knows || count == 0 {
        return 0;
    }
    #[allow(unsafe_code)] // The only one: the function is safe but for wanting what was just looked for.
    // SAFETY: this processor knows what the function is compiled for.
    unsafe {
        compress(states, blocks)
    };
    count
}

/// A message's state, in the order that the instructions want.
#[derive(Clone, Copy)]
struct Lane {
    abef: __m128i,
    cdgh: __m128i,
    /// The last 16 words of the message's schedule, in turn.
    words: [__m128i; 4],
}

#[target_feature(enable = "sha,sse4.1,ssse3")]
fn compress(states: [&mut [u32; 8]; 2], blocks: [&[Block]; 2]) {
    let mut lanes = [load_state(states[0]), load_state(states[1])];
    for (one, other) in blocks[0].iter().zip(blocks[1]) {
        let before = lanes;
        lanes[0].words = load_block(one);
        lanes[1].words = load_block(other);
        // Unrolled, or the schedule lies in memory instead of registers.
        macro_rules! steps {
            ($($step:literal)*) => { $( four_rounds::<$step>(&mut lanes); )* };
        }
        steps!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        for (lane, before) in lanes.iter_mut().zip(before) {
            lane.abef = _mm_add_epi32(lane.abef, before.abef);
            lane.cdgh = _mm_add_epi32(lane.cdgh, before.cdgh);
        }
    }
    for (state, lane) in states.into_iter().zip(lanes) {
        store_state(state, lane);
    }
}

/// Four rounds of each message, and its schedule's next words.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn four_rounds<const STEP: usize>(lanes: &mut [Lane; 2]) {
    let constants = load_words(ROUNDS[STEP]);
    let [this, next, before] = [STEP % 4, (STEP + 1) % 4, (STEP + 3) % 4];
    for Lane { abef, cdgh, words } in lanes {
        let sum = _mm_add_epi32(words[this], constants);
        *cdgh = _mm_sha256rnds2_epu32(*cdgh, *abef, sum);
        if STEP >= 3 && STEP <= 14 {
            let seven_back = _mm_alignr_epi8(words[this], words[before], 4);
            words[next] = _mm_sha256msg2_epu32(_mm_add_epi32(words[next], seven_back), words[this]);
        }
        *abef = _mm_sha256rnds2_epu32(*abef, *cdgh, _mm_shuffle_epi32(sum, 0b00_00_11_10));
        if STEP >= 1 && STEP <= 12 {
            words[before] = _mm_sha256msg1_epu32(words[before], words[this]);
        }
    }
}

#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn load_words([a, b, c, d]: [u32; 4]) -> __m128i {
    _mm_set_epi32(d.cast_signed(), c.cast_signed(), b.cast_signed(), a.cast_signed())
}

#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn load_state([a, b, c, d, e, f, g, h]: &[u32; 8]) -> Lane {
    Lane { abef: load_words([*f, *e, *b, *a]), cdgh: load_words([*h, *g, *d, *c]), words: [_mm_setzero_si128(); 4] }
}

#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn store_state(state: &mut [u32; 8], Lane { abef, cdgh, .. }: Lane) {
    *state = [
        _mm_extract_epi32(abef, 3),
        _mm_extract_epi32(abef, 2),
        _mm_extract_epi32(cdgh, 3),
        _mm_extract_epi32(cdgh, 2),
        _mm_extract_epi32(abef, 1),
        _mm_extract_epi32(abef, 0),
        _mm_extract_epi32(cdgh, 1),
        _mm_extract_epi32(cdgh, 0),
    ]
    .map(i32::cast_unsigned);
}

/// A block's words, which lie there with the highest byte first.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn load_block(block: &Block) -> [__m128i; 4] {
    let highest_first = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    let mut words = [_mm_setzero_si128(); 4];
    for (words, bytes) in words.iter_mut().zip(block.as_chunks::<16>().0) {
        let [low, high] = [0, 8].map(|at| bytes[at..].first_chunk().map_or(0, |bytes| i64::from_le_bytes(*bytes)));
        *words = _mm_shuffle_epi8(_mm_set_epi64x(high, low), highest_first);
    }
    words
}
