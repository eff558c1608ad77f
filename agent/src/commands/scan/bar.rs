//! The progress of a long scan: how much is done, and how long the rest will take.

use std::time::Duration;

/// Characters of the bar.
const WIDTH: u64 = 20;

/// `scanning [######..............] 19,660 of 65,535 ports, about 12 s left`.
pub(super) fn line(settled: u64, total: u64, elapsed: Duration) -> String {
    let settled = settled.min(total);
    let filled = (settled * WIDTH).checked_div(total).unwrap_or(WIDTH);
    let bar: String = (0..WIDTH).map(|at| if at < filled { '#' } else { '.' }).collect();
    let left = match settled {
        0 => String::new(),
        _ => {
            let seconds = elapsed.as_secs_f64() * (total - settled) as f64 / settled as f64;
            format!(", about {} left", rounded(seconds.ceil() as u64))
        }
    };
    format!("scanning [{bar}] {settled} of {total} ports{left}")
}

fn rounded(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_is_estimated_from_what_is_done() {
        let at = |settled, total, seconds| line(settled, total, Duration::from_secs(seconds));
        assert_eq!(at(0, 100, 2), "scanning [....................] 0 of 100 ports");
        assert_eq!(
            at(25, 100, 10),
            "scanning [#####...............] 25 of 100 ports, about 30 s left"
        );
        assert!(at(1, 1000, 1).ends_with("about 17 min left"));
        assert!(at(1, 100_000, 1).ends_with("about 28 h left"));
        assert!(at(7, 5, 1).contains("5 of 5 ports, about 0 s left"));
        assert!(at(0, 0, 1).starts_with("scanning [####################]"));
    }
}
