//! The passes over the memory (RFC 9106 sections 3.2 and 3.4): which block is mixed with which.

use super::block::{Block, Step, WORDS};
use super::{Input, Kernel, variant_number};
use crate::phc::{Cost, Variant, Version};

/// Slices of a pass; lanes meet at their ends.
const SLICES: usize = 4;

/// How the memory is divided.
pub(super) struct Shape {
    pub(super) lanes: usize,
    pub(super) lane_length: usize,
    segment_length: usize,
}

impl Shape {
    pub(super) fn of(cost: Cost) -> Self {
        let lanes = cost.lanes() as usize;
        let segment_length = cost.memory_kib() as usize / (SLICES * lanes);
        Self { lanes, lane_length: SLICES * segment_length, segment_length }
    }

    pub(super) fn block_count(&self) -> usize {
        self.lanes * self.lane_length
    }
}

/// Step 5 and 6: all passes.
pub(super) fn fill(kernel: Kernel, blocks: &mut [Block], shape: &Shape, input: &Input<'_>) {
    for pass in 0..input.cost.time() as usize {
        for slice in 0..SLICES {
            for lane in 0..shape.lanes {
                let mut segment = Segment::new(kernel, shape, input, (pass, slice, lane));
                while let Some(step) = segment.next(kernel, blocks) {
                    kernel.mix(blocks, step);
                }
            }
        }
    }
}

/// A segment that is being filled: gives one step after the other.
struct Segment<'a> {
    shape: &'a Shape,
    pass: usize,
    slice: usize,
    lane: usize,
    keep: bool,
    /// Block within the segment.
    at: usize,
    /// Where which block is read depends on the position only.
    addresses: Option<Box<Addresses>>,
}

impl<'a> Segment<'a> {
    fn new(
        kernel: Kernel,
        shape: &'a Shape,
        input: &Input<'_>,
        (pass, slice, lane): (usize, usize, usize),
    ) -> Self {
        let independent = match input.variant {
            Variant::D => false,
            Variant::I => true,
            Variant::Id => pass == 0 && slice < SLICES / 2,
        };
        let position = || {
            let time = input.cost.time() as usize;
            [pass, lane, slice, shape.block_count(), time, variant_number(input.variant)]
        };
        Self {
            shape,
            pass,
            slice,
            lane,
            keep: pass > 0 && input.version == Version::V19,
            // The first two blocks of a lane are there already.
            at: if pass == 0 && slice == 0 { 2 } else { 0 },
            addresses: independent.then(|| Box::new(Addresses::new(kernel, position()))),
        }
    }

    /// The next step; `None` at the end of the segment. The one before must have been taken.
    #[inline]
    fn next(&mut self, kernel: Kernel, blocks: &[Block]) -> Option<Step> {
        if self.at == self.shape.segment_length {
            return None;
        }
        let start = self.lane * self.shape.lane_length;
        let current = start + self.slice * self.shape.segment_length + self.at;
        let previous = match current == start {
            true => start + self.shape.lane_length - 1,
            false => current - 1,
        };
        let random = match &mut self.addresses {
            Some(addresses) => addresses.word(kernel, self.at),
            // The first word, wherever the others stand.
            None => blocks[previous].0[0],
        };
        let reference = self.reference(random);
        self.at += 1;
        Some(Step { previous, reference, current, keep: self.keep })
    }

    /// Section 3.4.2: the block that J1 (the low half) and J2 (the high half) stand for.
    #[inline]
    fn reference(&self, random: u64) -> usize {
        let Shape { lanes, lane_length, segment_length } = *self.shape;
        let first = self.pass == 0 && self.slice == 0;
        let lane = if first || lanes == 1 { self.lane } else { (random >> 32) as usize % lanes };
        // Finished segments that may be read, and from where on they are counted.
        let (segments, start) = match (self.pass, self.slice) {
            (0, slice) => (slice, 0),
            (_, slice) => (SLICES - 1, (slice + 1) % SLICES * segment_length),
        };
        let area = segments * segment_length;
        let area = match lane == self.lane {
            true => area + self.at - 1,
            false => area - usize::from(self.at == 0),
        };
        let low = random & 0xffff_ffff;
        let squared = (low * low) >> 32;
        let back = ((area as u64 * squared) >> 32) as usize;
        let mut index = start + area - 1 - back;
        if index >= lane_length {
            index -= lane_length;
        }
        lane * lane_length + index
    }
}

/// Pseudo-random words by position: section 3.4.1.2.
struct Addresses {
    /// Zeros, the counted input, and the words.
    blocks: [Block; 3],
    /// The block of words that is there.
    of: Option<usize>,
}

impl Addresses {
    fn new(kernel: Kernel, position: [usize; 6]) -> Self {
        let mut blocks = [Block::ZERO, Block::ZERO, Block::ZERO];
        for (word, value) in position.into_iter().enumerate() {
            blocks[1].0[kernel.place(word)] = value as u64;
        }
        Self { blocks, of: None }
    }

    fn word(&mut self, kernel: Kernel, at: usize) -> u64 {
        if self.of != Some(at / WORDS) {
            self.of = Some(at / WORDS);
            self.blocks[1].0[kernel.place(6)] = (at / WORDS) as u64 + 1;
            for reference in [1, 2] {
                kernel.mix(
                    &mut self.blocks,
                    Step { previous: 0, reference, current: 2, keep: false },
                );
            }
        }
        self.blocks[2].0[kernel.place(at % WORDS)]
    }
}
