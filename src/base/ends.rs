//! Short texts as numbers, which are compared without a call.

/// The first and the last bytes of a short text, which overlap: with its length they are all of it.
/// `None` if it is longer than 16 bytes, as few names are.
#[inline(always)]
#[must_use]
pub fn ends(text: &[u8]) -> Option<(u64, u64)> {
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        let ends = (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
        return (text.len() <= 16).then_some(ends);
    }
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        return Some((first.into(), last.into()));
    }
    let byte = |at: usize| text.get(at).copied().map_or(0, u64::from);
    Some((byte(0) | byte(1) << 8 | byte(2) << 16, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_texts_of_one_length_are_told_apart_by_each_byte() {
        for len in 0..=16 {
            let text: Vec<u8> = (1..=len).collect();
            let own = ends(&text).expect("short");
            for at in 0..text.len() {
                let mut other = text.clone();
                other[at] ^= 0x80;
                assert_ne!(ends(&other), Some(own), "{len} {at}");
            }
        }
        assert_eq!(ends(&[0; 17]), None);
    }
}
