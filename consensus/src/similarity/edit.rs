//! Edit distances of one text to several patterns at once: Myers' bit-parallel algorithm in Hyyrö's
//! block form (2003), one pattern a lane.
//!
//! Lanes are patterns, not texts: what a column needs of a symbol then lies side by side in memory,
//! one load for all lanes, and every lane has the same number of columns. A band of `BLOCKS` × 64
//! rows keeps its state in registers over all columns; between bands a column hands down one bit a
//! lane. The distance is read at the end from the vertical differences of the last column, so that
//! a lane whose pattern is shorter than its neighbours' just ignores the rows below its own.
//!
//! Memory is bounded: a band's table has at most one row a symbol of the band, and texts are taken
//! in batches of at most [`MAX_COLUMNS`] columns (or one text).

/// Most columns whose hand-downs are kept at once.
pub const MAX_COLUMNS: usize = 1 << 12;

/// Texts of symbols below `alphabet`.
#[derive(Clone, Copy)]
pub struct Texts<'a> {
    pub all: &'a [Vec<u32>],
    pub alphabet: usize,
}

/// Calls `found(pattern, text, distance)` for every pattern of `patterns` with every text that
/// `partners` gives for the place of its group's first pattern.
#[inline(always)] // so that each instruction set of `sys` gets code of its own
pub fn distances<const LANES: usize, const BLOCKS: usize>(
    texts: Texts<'_>,
    patterns: std::ops::Range<usize>,
    partners: impl Fn(usize) -> std::ops::Range<usize>,
    mut found: impl FnMut(usize, usize, usize),
) {
    let mut band = Band::<LANES, BLOCKS>::new(texts.alphabet);
    let mut batch = Batch::<LANES>::default();
    for first in patterns.clone().step_by(LANES) {
        let group = first..patterns.end.min(first + LANES);
        let lanes: [&[u32]; LANES] = std::array::from_fn(|lane| {
            if first + lane < group.end { &texts.all[first + lane][..] } else { &[][..] }
        });
        let rows = lanes.iter().map(|lane| lane.len()).max().unwrap_or(0);
        let mut rest = partners(first);
        while !rest.is_empty() {
            let taken = batch.fill(texts.all, &rest);
            for top in (0..rows).step_by(64 * BLOCKS) {
                band.set(lanes, top);
                batch.descend(texts.all, taken.clone(), &band, lanes, top);
            }
            for (text, distances) in taken.clone().zip(&batch.distances) {
                group.clone().zip(distances).for_each(|(one, &far)| found(one, text, far));
            }
            rest.start = taken.end;
        }
    }
}

/// The texts in hand: their distances so far and what each column hands to the band below.
#[derive(Default)]
struct Batch<const LANES: usize> {
    distances: Vec<[usize; LANES]>,
    handed: Vec<Handed<LANES>>,
}

/// The horizontal difference at a band's lower edge, a lane: +1, −1 or 0, as a bit for each sign. A
/// whole word for a bit, because packing costs more than the memory that it saves.
#[derive(Clone, Copy)]
struct Handed<const LANES: usize> {
    rise: Words<LANES>,
    fall: Words<LANES>,
}

impl<const LANES: usize> Batch<LANES> {
    /// Takes as many texts from the start of `rest` as fit; at least one.
    fn fill(
        &mut self,
        texts: &[Vec<u32>],
        rest: &std::ops::Range<usize>,
    ) -> std::ops::Range<usize> {
        self.distances.clear();
        let mut columns = 0;
        for text in &texts[rest.clone()] {
            if columns > 0 && columns + text.len() > MAX_COLUMNS {
                break;
            }
            columns += text.len();
            self.distances.push([text.len(); LANES]); // row 0 of the last column
        }
        self.handed.clear();
        // Row 0 rises by one a column.
        self.handed.resize(columns, Handed { rise: [1; LANES], fall: [0; LANES] });
        rest.start..rest.start + self.distances.len()
    }

    /// One band of rows over all columns of the texts in hand.
    #[inline(always)]
    fn descend<const BLOCKS: usize>(
        &mut self,
        texts: &[Vec<u32>],
        taken: std::ops::Range<usize>,
        band: &Band<LANES, BLOCKS>,
        lanes: [&[u32]; LANES],
        top: usize,
    ) {
        let mut handed = &mut self.handed[..];
        for (text, distances) in texts[taken].iter().zip(&mut self.distances) {
            let (own, below) = handed.split_at_mut(text.len());
            handed = below;
            let (up, down) = band.run(text, own);
            for block in 0..BLOCKS {
                for lane in 0..LANES {
                    let rows = lanes[lane].len().saturating_sub(top + block * 64);
                    let mask = if rows >= 64 { u64::MAX } else { (1 << rows) - 1 };
                    distances[lane] += (up[block][lane] & mask).count_ones() as usize;
                    distances[lane] -= (down[block][lane] & mask).count_ones() as usize;
                }
            }
        }
    }
}

/// A word a lane.
type Words<const LANES: usize> = [u64; LANES];

/// Where each symbol stands in some rows of the patterns: a bit a row.
struct Band<const LANES: usize, const BLOCKS: usize> {
    /// Row of `places` per symbol; 0 for a symbol that none of these rows holds.
    numbers: Vec<u16>,
    places: Vec<[Words<LANES>; BLOCKS]>,
    /// The symbols with a number, to forget them by.
    symbols: Vec<u32>,
}

impl<const LANES: usize, const BLOCKS: usize> Band<LANES, BLOCKS> {
    fn new(alphabet: usize) -> Self {
        const { assert!(64 * BLOCKS * LANES < u16::MAX as usize) };
        Self { numbers: vec![0; alphabet], places: Vec::new(), symbols: Vec::new() }
    }

    /// The rows from `top`.
    fn set(&mut self, lanes: [&[u32]; LANES], top: usize) {
        self.symbols.drain(..).for_each(|symbol| self.numbers[symbol as usize] = 0);
        self.places.clear();
        self.places.push([[0; LANES]; BLOCKS]);
        for (lane, pattern) in lanes.iter().enumerate() {
            for (row, &symbol) in pattern.iter().skip(top).take(64 * BLOCKS).enumerate() {
                let number = &mut self.numbers[symbol as usize];
                if *number == 0 {
                    *number = self.places.len() as u16; // at most one a row and lane
                    self.places.push([[0; LANES]; BLOCKS]);
                    self.symbols.push(symbol);
                }
                self.places[usize::from(*number)][row / 64][lane] |= 1 << (row % 64);
            }
        }
    }

    /// The vertical differences (+1, −1) of the last column.
    ///
    /// The blocks go aslant: while the first is in a column, the next is in the column before, so
    /// that no block waits for another within a turn and the processor can run them side by side.
    #[inline(always)]
    fn run(
        &self,
        text: &[u32],
        handed: &mut [Handed<LANES>],
    ) -> ([Words<LANES>; BLOCKS], [Words<LANES>; BLOCKS]) {
        let mut slant = Slant::<LANES, BLOCKS>::new();
        let turns = text.len() + BLOCKS - 1;
        let full = turns.min(BLOCKS - 1);
        for turn in 0..full {
            slant = self.edge(slant, turn, text, handed);
        }
        let equal = |turn: usize| &self.places[usize::from(self.numbers[text[turn] as usize])];
        for turn in full..text.len() {
            let mut rows = [equal(turn); BLOCKS];
            for (block, row) in rows.iter_mut().enumerate().skip(1) {
                *row = equal(turn - block);
            }
            let mut between = slant.between;
            between[0] = handed[turn];
            for block in 0..BLOCKS {
                let below = step(
                    &mut slant.up[block],
                    &mut slant.down[block],
                    between[block],
                    &rows[block][block],
                );
                if block + 1 < BLOCKS {
                    slant.between[block + 1] = below;
                } else {
                    handed[turn - block] = below;
                }
            }
        }
        for turn in full.max(text.len())..turns {
            slant = self.edge(slant, turn, text, handed);
        }
        (slant.up, slant.down)
    }

    /// A turn at the start or end of the text, where some blocks are beside it.
    fn edge(
        &self,
        mut slant: Slant<LANES, BLOCKS>,
        turn: usize,
        text: &[u32],
        handed: &mut [Handed<LANES>],
    ) -> Slant<LANES, BLOCKS> {
        for block in (0..BLOCKS).rev() {
            if block > turn || turn - block >= text.len() {
                continue;
            }
            let column = turn - block;
            let equal = &self.places[usize::from(self.numbers[text[column] as usize])][block];
            let above = if block == 0 { handed[column] } else { slant.between[block] };
            let below = step(&mut slant.up[block], &mut slant.down[block], above, equal);
            match slant.between.get_mut(block + 1) {
                Some(next) => *next = below,
                None => handed[column] = below,
            }
        }
        slant
    }
}

/// The state of a band's blocks on their way through a text.
struct Slant<const LANES: usize, const BLOCKS: usize> {
    up: [Words<LANES>; BLOCKS],
    down: [Words<LANES>; BLOCKS],
    /// What each block but the first is handed from above.
    between: [Handed<LANES>; BLOCKS],
}

impl<const LANES: usize, const BLOCKS: usize> Slant<LANES, BLOCKS> {
    #[inline(always)]
    fn new() -> Self {
        Self {
            up: [[u64::MAX; LANES]; BLOCKS],
            down: [[0; LANES]; BLOCKS],
            between: [Handed { rise: [0; LANES], fall: [0; LANES] }; BLOCKS],
        }
    }
}

/// One block over one column; what it hands down.
#[inline(always)]
fn step<const LANES: usize>(
    up: &mut Words<LANES>,
    down: &mut Words<LANES>,
    Handed { rise, fall }: Handed<LANES>,
    equal: &Words<LANES>,
) -> Handed<LANES> {
    let mut below = Handed { rise: [0; LANES], fall: [0; LANES] };
    for lane in 0..LANES {
        let matched = equal[lane] | fall[lane];
        let carried = (matched & up[lane]).wrapping_add(up[lane]) ^ up[lane];
        let diagonal = carried | matched | down[lane];
        let plus = down[lane] | !(diagonal | up[lane]);
        let minus = up[lane] & diagonal;
        below.rise[lane] = plus >> 63;
        below.fall[lane] = minus >> 63;
        let plus = plus << 1 | rise[lane];
        up[lane] = minus << 1 | fall[lane] | !(diagonal | plus);
        down[lane] = plus & diagonal;
    }
    below
}
