//! The constants of the ranking, in one value, so that a test can choose them on some streams and
//! score the others. Times are in seconds: what they mean does not change with the window's length.

/// What the ranking believes before it has seen anything. [`Model::default`] is what the program uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Model {
    /// Sightings that every name starts from: a new name is rare, but not infinitely so.
    pub prior: f64,
    /// From this surprise on (nats; 6 is about 1 in 400) a name is rare.
    pub rare: f64,
    /// What the logarithm of the number of hosts with the same rare name adds to its surprise.
    pub fan_out: f64,
    /// A window with more evidence than this (nats) teaches the baseline nothing while its episode lasts.
    pub suspicious: f64,
    /// How much more a window weighs at most when other windows were suspicious shortly before.
    pub context: f64,
    /// The stream's memory of how much was new in it halves in this time: half a day.
    pub novelty_half_life_s: f64,
    /// An episode is over after so long without a sign of it; suspicion of the stream halves as fast.
    pub quiet_s: i64,
    /// What lasts longer than this is how things are now.
    pub horizon_s: i64,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            prior: 0.1,
            rare: 6.0,
            fan_out: 0.3,
            suspicious: 18.0,
            context: 1.0,
            novelty_half_life_s: 43_200.0,
            quiet_s: 3_600,
            horizon_s: 7 * 86_400,
        }
    }
}

/// The model's times in windows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub novelty_half_life: f64,
    pub suspicion_half_life: f64,
    pub quiet: i64,
    pub horizon: i64,
    /// How often ended episodes are looked for; bounds the work of very short windows.
    pub sweep: i64,
}

/// Ended episodes are looked for this often, seconds.
const SWEEP_S: i64 = 300;

impl Pace {
    pub fn new(model: &Model, window_s: i64) -> Self {
        let windows = |seconds: i64| (seconds / window_s).max(1);
        Self {
            novelty_half_life: model.novelty_half_life_s / window_s as f64,
            suspicion_half_life: model.quiet_s as f64 / window_s as f64,
            quiet: windows(model.quiet_s),
            horizon: windows(model.horizon_s),
            sweep: windows(SWEEP_S),
        }
    }
}
