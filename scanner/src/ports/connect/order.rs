//! The order in which the ports of other hosts are asked: shuffled, so that neighbours and times of day
//! do not matter, and the same again from the same seed.

use crate::ports::targets;

/// Indexes of the ports: those that are common (`content/ports`) first, each part shuffled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    indexes: Vec<u32>,
    /// How many of them are common ports.
    common: usize,
}

impl Order {
    /// The order of these ports by a seed.
    pub fn new(ports: &[u16], seed: u32) -> Self {
        let mut is_common = vec![false; usize::from(u16::MAX) + 1];
        for (port, _) in targets::common() {
            is_common[usize::from(port)] = true;
        }
        let all = 0..u32::try_from(ports.len()).unwrap_or(u32::MAX);
        let (mut first, mut rest): (Vec<u32>, Vec<u32>) =
            all.partition(|index| is_common[usize::from(ports[*index as usize])]);
        let mut random = Random(u64::from(seed));
        random.shuffle(&mut first);
        random.shuffle(&mut rest);
        let common = first.len();
        first.append(&mut rest);
        Self { indexes: first, common }
    }

    /// How many ports.
    pub fn len(&self) -> usize {
        self.indexes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.indexes.is_empty()
    }

    /// How many of the first are common ports.
    pub fn common(&self) -> usize {
        self.common
    }

    /// Which port a host is asked as its `step`th; hosts begin at different places of the same order.
    pub fn at(&self, host: usize, step: usize) -> usize {
        let turned = |first: usize, count: usize, step: usize| first + (step + host) % count.max(1);
        let place = match step < self.common {
            true => turned(0, self.common, step),
            false => turned(self.common, self.len() - self.common, step - self.common),
        };
        self.indexes[place] as usize
    }
}

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): enough for an order, nothing secret.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Fisher and Yates.
    fn shuffle(&mut self, items: &mut [u32]) {
        for last in (1..items.len()).rev() {
            let other = (self.next() % (last as u64 + 1)) as usize;
            items.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn common_ports_come_first_and_the_seed_decides_the_rest() {
        let ports: Vec<u16> = (1..=1000).collect();
        let order = Order::new(&ports, 7);
        let common: Vec<u16> = targets::common().into_iter().map(|(port, _)| port).collect();
        let asked: Vec<u16> = (0..order.len()).map(|step| ports[order.at(0, step)]).collect();
        assert!(order.common() > 20);
        assert!(asked[..order.common()].iter().all(|port| common.contains(port)));
        assert!(asked[order.common()..].iter().all(|port| !common.contains(port)));
        assert!(!asked[order.common()..].is_sorted(), "shuffled");
        assert_eq!(order, Order::new(&ports, 7));
        assert_ne!(order, Order::new(&ports, 8));
    }

    proptest! {
        #[test]
        fn every_host_is_asked_for_every_port_once(
            count in 0_u16..400, seed: u32, host in 0_usize..70_000
        ) {
            let ports: Vec<u16> = (0..count).map(|nth| 20 + nth * 3).collect();
            let order = Order::new(&ports, seed);
            let mut asked: Vec<usize> = (0..order.len()).map(|step| order.at(host, step)).collect();
            asked.sort_unstable();
            prop_assert_eq!(asked, (0..ports.len()).collect::<Vec<_>>());
        }
    }
}
