//! MurmurHash64A, as partitions by KEY are chosen with (routing.md 4.2).

const M: u64 = 0xc6a4_a793_5bd1_e995;

/// The hash of some bytes, continuing from `seed`.
pub(super) fn murmur(bytes: &[u8], seed: u64) -> u64 {
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(M);
    let (words, tail) = bytes.as_chunks::<8>();
    for word in words {
        let mut k = u64::from_le_bytes(*word).wrapping_mul(M);
        k = (k ^ (k >> 47)).wrapping_mul(M);
        hash = (hash ^ k).wrapping_mul(M);
    }
    if !tail.is_empty() {
        let rest = tail
            .iter()
            .rev()
            .fold(0, |all, b| (all << 8) | u64::from(*b));
        hash = (hash ^ rest).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 47)).wrapping_mul(M);
    hash ^ (hash >> 47)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_reference() {
        // Computed with an independent form of MurmurHash64A.
        for (bytes, seed, want) in [
            (&b""[..], 0, 0),
            (b"", 1, 0xc6a4_a793_5bd0_64dc),
            (b"\0\0\0\0", 0, 0x6097_d7ce_f65a_a5e7),
            (b"hello", 0, 0x1e68_d17c_457b_f117),
            (b"12345678", 0, 0x758f_67d1_62b2_d202),
            (b"123456789", 1, 0x1c8a_c7c7_d0fc_5cf9),
        ] {
            assert_eq!(murmur(bytes, seed), want, "{bytes:?}");
        }
    }
}
