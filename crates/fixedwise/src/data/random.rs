//! The seeded shuffle that divides images.

/// SplitMix64: the same sequence for a seed on every machine.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Fisher and Yates' shuffle.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let bound =
                u128::from(self.bits()) * u128::from(fixedwise_fixed::convert::count_to_u64(i) + 1);
            let j = usize::try_from(bound >> 64).expect("below a usize");
            items.swap(i, j);
        }
    }
}

/// Shuffled parts of `images`, each in its original order.
pub(crate) fn divide(images: &[usize], seed: u64, parts: &[usize]) -> Vec<Vec<usize>> {
    let mut shuffled = images.to_vec();
    Random::new(seed).shuffle(&mut shuffled);
    let mut rest = shuffled.as_slice();
    let mut divided = Vec::with_capacity(parts.len());
    for &part in parts {
        let (head, tail) = rest.split_at(part.min(rest.len()));
        let mut head = head.to_vec();
        head.sort_unstable();
        divided.push(head);
        rest = tail;
    }
    divided
}
