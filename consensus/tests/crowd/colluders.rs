//! Colluding copies of one wrong expert, for tables whose truth is known. Deterministic.

/// One colluder's label: places of item, copy and label.
pub struct Said {
    pub item: usize,
    pub copy: usize,
    pub label: usize,
}

/// What `copies` experts say who have agreed on one wrong answer an item, each with a share `noise` of
/// private slips to any other label. `truths`: an item's place among so many labels; where it is
/// unknown, any answer is agreed on.
pub fn colluders(truths: &[Option<usize>], labels: usize, copies: usize, noise: f64) -> Vec<Said> {
    let mut random = Random(1);
    let mut said = Vec::with_capacity(truths.len() * copies);
    for (item, truth) in truths.iter().enumerate() {
        let agreed = match truth {
            Some(truth) => random.other_than(*truth, labels),
            None => random.below(labels),
        };
        for copy in 0..copies {
            let slip = random.share() < noise;
            let label = if slip { random.other_than(agreed, labels) } else { agreed };
            said.push(Said { item, copy, label });
        }
    }
    said
}

/// `SplitMix64` (Steele, Lea and Flood 2014).
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 up to, not including, 1.
    pub fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.share() * end as f64) as usize
    }

    fn other_than(&mut self, label: usize, labels: usize) -> usize {
        (label + 1 + self.below(labels - 1)) % labels
    }
}
