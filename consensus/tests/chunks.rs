//! The law of chunks: what is carried through a stream does not depend on how the stream was cut, nor
//! on the order in which the states of its parts are merged.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use consensus::carryover::{CarryOver, Line, MAX_TEMPLATES, Rules};
use proptest::prelude::*;

/// Lines with many ties in weight, time and template; sometimes more templates than are counted.
fn stream() -> impl Strategy<Value = Vec<Line>> {
    let few = prop::collection::vec((-20_i64..20, 0_u32..12, 0_u16..1100), 0..200);
    let templates = 2 * MAX_TEMPLATES as u32;
    let many = prop::collection::vec((any::<i64>(), 0..templates, 0_u16..1100), 1500..2500);
    prop_oneof![6 => few, 1 => many].prop_map(|lines| {
        (0..)
            .zip(lines)
            .map(|(n, (at, template, relevance))| Line { offset: n * 80, at, template, relevance })
            .collect()
    })
}

fn rules() -> impl Strategy<Value = Rules> {
    (0_usize..10, 0_u32..100).prop_map(|(kept, horizon)| Rules { kept, horizon })
}

/// The stream in pieces; the cuts are taken as they come, so that pieces may be empty.
fn pieces<'a>(stream: &'a [Line], cuts: &[usize]) -> Vec<&'a [Line]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
    cuts.extend([0, stream.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect()
}

fn state(rules: Rules, lines: &[Line]) -> CarryOver {
    let mut state = CarryOver::new(rules);
    state.add(lines);
    state
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_cut_gives_the_same_state(
        stream in stream(),
        rules in rules(),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let whole = state(rules, &stream);
        let mut added = CarryOver::new(rules);
        let mut merged = CarryOver::new(rules);
        for piece in pieces(&stream, &cuts) {
            added.add(piece);
            merged.merge(&state(rules, piece)).unwrap();
        }
        prop_assert_eq!(&added, &whole);
        prop_assert_eq!(&merged, &whole);
    }

    #[test]
    fn any_order_of_merging_gives_the_same_state(
        stream in stream(),
        rules in rules(),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
        turns in prop::collection::vec(any::<usize>(), 0..24),
    ) {
        let whole = state(rules, &stream);
        let mut parts: Vec<_> =
            pieces(&stream, &cuts).into_iter().map(|piece| state(rules, piece)).collect();
        // Two by two, whichever the turns say, as a tree of threads would.
        let mut turns = turns.into_iter().chain(std::iter::repeat(0));
        while parts.len() > 1 {
            let one = parts.swap_remove(turns.next().unwrap() % parts.len());
            let other = turns.next().unwrap() % parts.len();
            parts[other].merge(&one).unwrap();
        }
        prop_assert_eq!(&parts[0], &whole);
    }

    #[test]
    fn what_is_carried_is_what_a_full_sort_would_choose(stream in stream(), rules in rules()) {
        let carried = state(rules, &stream);
        let weight = |line: &Line| {
            let horizon = i128::from(rules.horizon.max(1));
            4 * i128::from(line.relevance.min(1000)) * horizon + 1000 * i128::from(line.at)
        };
        let mut sorted = stream.clone();
        sorted.sort_by_key(|line| (-weight(line), line.offset));
        prop_assert!(carried.kept().eq(sorted.iter().take(rules.kept)));
        let counted = carried.top_templates(usize::MAX);
        for each in &counted {
            let own = || stream.iter().filter(|line| line.template == each.template);
            prop_assert_eq!(each.lines, own().count() as u64);
            prop_assert_eq!(each.first, own().map(|line| line.at).min().unwrap());
            prop_assert_eq!(each.last, own().map(|line| line.at).max().unwrap());
        }
        let lines: u64 = counted.iter().map(|each| each.lines).sum();
        prop_assert_eq!(lines + carried.uncounted(), stream.len() as u64);
    }
}
