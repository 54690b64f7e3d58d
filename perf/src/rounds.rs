//! Rounds: in each, every side is measured once, in turns from the first to the last and from the last to the first
//! (ABBA), so that a machine that gets slower meanwhile does so for all. Two sides of one chain take many short turns in each.

use anyhow::Result;

/// Calls `measure(round, side)` for every side in every round; returns its answers by side.
pub fn alternate<T>(
    rounds: usize,
    sides: usize,
    mut measure: impl FnMut(usize, usize) -> Result<T>,
) -> Result<Vec<Vec<T>>> {
    let mut found: Vec<Vec<T>> = (0..sides).map(|_| Vec::with_capacity(rounds)).collect();
    for round in 0..rounds {
        let order: Box<dyn Iterator<Item = usize>> =
            if round % 2 == 0 { Box::new(0..sides) } else { Box::new((0..sides).rev()) };
        for side in order {
            found[side].push(measure(round, side)?);
        }
    }
    Ok(found)
}

/// So many turns of two sides, ABBAABBA and so on: what gets steadily slower does so for both within four turns.
pub fn turns(count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(|turn| turn.div_ceil(2) % 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_turns_around() {
        let mut order = Vec::new();
        let found = alternate(2, 3, |round, side| {
            order.push(side);
            Ok((round, side))
        });
        assert_eq!(order, [0, 1, 2, 2, 1, 0]);
        assert_eq!(found.unwrap()[1], [(0, 1), (1, 1)]);
    }

    #[test]
    fn two_take_turns_around() {
        assert_eq!(turns(8).collect::<Vec<_>>(), [0, 1, 1, 0, 0, 1, 1, 0]);
    }
}
