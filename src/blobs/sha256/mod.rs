//! SHA-256 (FIPS 180-4), of one message or of two at once.

#[cfg(target_arch = "x86_64")]
mod lanes;
/// Other processors: each message alone.
#[cfg(not(target_arch = "x86_64"))]
mod lanes {
    pub(super) fn compress_both(_states: [&mut [u32; 8]; 2], _blocks: [&[[u8; 64]]; 2]) -> usize {
        0
    }
}

use sha2::block_api::compress256;

const BLOCK_BYTES: usize = 64;
/// What the last block has no room for: a one bit, in a byte, and the length.
const PADDING_BYTES: usize = 1 + size_of::<u64>();
/// Section 5.3.3.
const INITIAL: [u32; 8] = [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];

/// The digest of a message of which more may come.
#[derive(Debug, Clone)]
pub(super) struct RunningSha256 {
    state: [u32; 8],
    /// Begins with what has come of the next block.
    pending: [u8; BLOCK_BYTES],
    length_bytes: u64,
}

impl Default for RunningSha256 {
    fn default() -> Self {
        Self { state: INITIAL, pending: [0; BLOCK_BYTES], length_bytes: 0 }
    }
}

impl RunningSha256 {
    /// Takes the next bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        let blocks = self.take(bytes);
        compress256(&mut self.state, blocks);
    }

    /// Takes the next bytes of two messages: as far as there are some of each, in less time than one after the other, if the processor knows
    /// SHA.
    pub(super) fn update_both([(one, its), (other, others)]: [(&mut Self, &[u8]); 2]) {
        let (its, others) = (one.take(its), other.take(others));
        let done = lanes::compress_both([&mut one.state, &mut other.state], [its, others]);
        compress256(&mut one.state, &its[done..]);
        compress256(&mut other.state, &others[done..]);
    }

    /// Takes the next bytes, but for the whole blocks among them: these are to be compressed at once.
    fn take<'a>(&mut self, bytes: &'a [u8]) -> &'a [[u8; BLOCK_BYTES]] {
        let pending = self.pending_bytes();
        self.length_bytes += bytes.len() as u64;
        let mut rest = bytes;
        if pending > 0 {
            let (head, tail) = bytes.split_at(bytes.len().min(BLOCK_BYTES - pending));
            self.pending[pending..][..head.len()].copy_from_slice(head);
            if pending + head.len() < BLOCK_BYTES {
                return &[];
            }
            compress256(&mut self.state, &[self.pending]);
            rest = tail;
        }
        let (blocks, tail) = rest.as_chunks();
        self.pending[..tail.len()].copy_from_slice(tail);
        blocks
    }

    /// The digest of everything taken so far.
    pub(super) fn finish(&self) -> [u8; 32] {
        let pending = self.pending_bytes();
        let mut last = [[0; BLOCK_BYTES]; 2];
        last[0][..pending].copy_from_slice(&self.pending[..pending]);
        last[0][pending] = 0x80;
        let last = if pending + PADDING_BYTES <= BLOCK_BYTES { &mut last[..1] } else { &mut last };
        let length_at = last.len() * BLOCK_BYTES - size_of::<u64>();
        // The standard knows no digest of 2^61 bytes and more.
        last.as_flattened_mut()[length_at..].copy_from_slice(&self.length_bytes.wrapping_mul(8).to_be_bytes());
        let mut state = self.state;
        compress256(&mut state, last);
        let mut digest = [0; 32];
        for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(state) {
            *bytes = word.to_be_bytes();
        }
        digest
    }

    fn pending_bytes(&self) -> usize {
        (self.length_bytes % BLOCK_BYTES as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::Digest as _;

    use super::*;

    fn right(bytes: &[u8]) -> [u8; 32] {
        sha2::Sha256::digest(bytes).into()
    }

    /// Takes two messages in these pieces.
    fn both(messages: [&[u8]; 2], pieces: &[[usize; 2]]) -> [[u8; 32]; 2] {
        let (mut running, mut rests) = ([RunningSha256::default(), RunningSha256::default()], messages);
        for lengths in pieces.iter().chain([&messages.map(<[u8]>::len)]) {
            let [(one, its), (other, others)] = [0, 1].map(|lane| rests[lane].split_at(rests[lane].len().min(lengths[lane])));
            let [first, second] = &mut running;
            RunningSha256::update_both([(first, one), (second, other)]);
            rests = [its, others];
        }
        running.map(|running| running.finish())
    }

    #[test]
    fn every_length_around_the_blocks_ends() {
        let bytes = crate::blobs::contract::bytes(1, 400);
        for length in 0..200 {
            let mut running = RunningSha256::default();
            running.update(&bytes[..length]);
            assert_eq!(running.finish(), right(&bytes[..length]), "{length}");
            for other in [0, 1, 55, 56, 63, 64, 65, 128, 199] {
                let messages = [&bytes[..length], &bytes[length..][..other]];
                assert_eq!(both(messages, &[]), messages.map(right), "{length} and {other}");
            }
        }
    }

    /// The other tests hold what it answers to `sha2`; this one that they test it at all.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn a_processor_that_knows_sha_takes_as_many_blocks_as_both_have() {
        let (mut states, blocks) = ([INITIAL, INITIAL], [[7; BLOCK_BYTES]; 5]);
        let [one, other] = &mut states;
        let done = lanes::compress_both([one, other], [&blocks[..3], &blocks]);
        assert_eq!(done, if std::is_x86_feature_detected!("sha") { 3 } else { 0 });
    }

    proptest! {
        #[test]
        fn pieces_and_company_do_not_matter(
            seed: u64,
            lengths in [0..3000usize, 0..3000usize],
            pieces in prop::collection::vec([0..700usize, 0..700usize], 0..8),
        ) {
            let messages = lengths.map(|length| crate::blobs::contract::bytes(seed ^ length as u64, length));
            prop_assert_eq!(both(messages.each_ref().map(|bytes| &bytes[..]), &pieces), messages.each_ref().map(|bytes| right(bytes)));
            let (mut running, mut rest) = (RunningSha256::default(), &messages[0][..]);
            for [length, _] in pieces {
                let (piece, others) = rest.split_at(rest.len().min(length));
                running.update(piece);
                prop_assert_eq!(running.clone().finish(), right(&messages[0][..messages[0].len() - others.len()]));
                rest = others;
            }
        }
    }
}
