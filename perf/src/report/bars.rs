//! The headline figure as bars: one per side, made of its processes' shares, with the spread over the rounds.

use super::svg::{Anchor, Drawing, colour};
use crate::outcome::{Outcome, Side, Spread};
use crate::text::number;

const WIDTH: f64 = 900.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 190.0;
const ROW: f64 = 46.0;
const BAR: f64 = 26.0;
const TOP: f64 = 8.0;
const AXIS: f64 = 34.0;
/// Shades of a side's colour for its processes.
const SHADES: &[f64] = &[1.0, 0.62, 0.35, 0.2];
/// A share narrower than this has no room for its name.
const NAMED_FROM: f64 = 62.0;

pub(super) fn draw(outcome: &Outcome) -> Option<String> {
    let unit = outcome.sides.first()?.columns().into_iter().find(|(name, _)| *name == outcome.headline)?.1;
    let spreads: Vec<(&Side, Spread)> =
        outcome.sides.iter().filter_map(|side| Some((side, side.spread(outcome.headline)?))).collect();
    let high = spreads.iter().map(|(_, spread)| spread.high).fold(0.0, f64::max);
    let step = step(high);
    let scale = (WIDTH - LEFT - RIGHT) / high.max(step);
    let bottom = TOP + ROW * spreads.len() as f64;
    let mut drawing = Drawing::new(WIDTH, bottom + AXIS);
    axis(&mut drawing, bottom, high, step, scale);
    drawing.text(
        (LEFT + (WIDTH - LEFT - RIGHT) / 2.0, bottom + 31.0),
        Anchor::Middle,
        "small",
        &format!("{} {unit}, median; whiskers: lowest and highest round", outcome.headline),
    );
    for (index, (side, spread)) in spreads.iter().enumerate() {
        let y = TOP + ROW * index as f64 + (ROW - BAR) / 2.0;
        row(&mut drawing, outcome, (index, side, *spread), y, scale);
    }
    Some(drawing.finish(&format!("{}: {} by side", outcome.title, outcome.headline)))
}

fn axis(drawing: &mut Drawing, bottom: f64, high: f64, step: f64, scale: f64) {
    let mut tick = 0.0;
    while tick <= high * 1.001 {
        let x = LEFT + tick * scale;
        drawing.line((x, TOP), (x, bottom), "grid");
        drawing.text((x, bottom + 14.0), Anchor::Middle, "small", &plain(tick));
        tick += step;
    }
}

fn row(drawing: &mut Drawing, outcome: &Outcome, (index, side, spread): (usize, &Side, Spread), y: f64, scale: f64) {
    let middle = y + BAR / 2.0;
    drawing.text((LEFT - 10.0, middle + 4.5), Anchor::End, "label", &side.name);
    let parts = parts(outcome, side, spread.median);
    let mut x = LEFT;
    for (place, (name, value)) in parts.iter().enumerate() {
        let width = value * scale;
        let shade = SHADES[place.min(SHADES.len() - 1)];
        drawing.bar((x, y), (width, BAR), colour(&side.name, index), shade, &format!("{name}: {}", number(*value)));
        if width > NAMED_FROM && parts.len() > 1 {
            let class = if shade > 0.5 { "on-dark" } else { "small" };
            drawing.text((x + width / 2.0, middle + 4.0), Anchor::Middle, class, name);
        }
        x += width;
    }
    let (low, high) = (LEFT + spread.low * scale, LEFT + spread.high * scale);
    drawing.line((low, middle), (high, middle), "whisker");
    for end in [low, high] {
        drawing.line((end, middle - 5.0), (end, middle + 5.0), "whisker");
    }
    let says = high.max(LEFT + spread.median * scale) + 10.0;
    drawing.text((says, middle + 4.5), Anchor::Start, "label", &value(outcome, side, spread));
}

/// The median, and for peers what Postern's is of it.
fn value(outcome: &Outcome, side: &Side, spread: Spread) -> String {
    let is_own = outcome.postern().is_some_and(|postern| postern.name == side.name);
    match outcome.ratio(side).filter(|_| !is_own) {
        Some(ratio) => format!("{}  (postern: {:.2}×)", number(spread.median), ratio.median),
        None => number(spread.median),
    }
}

/// Shares by process, scaled to the median of the whole; one share where the headline is no sum of them.
fn parts(outcome: &Outcome, side: &Side, median: f64) -> Vec<(String, f64)> {
    let parts: Vec<(String, f64)> = side.parts().into_iter().filter(|(_, value)| *value > 0.0).collect();
    let sum: f64 = parts.iter().map(|(_, value)| value).sum();
    let is_sum = (sum - median).abs() < 0.05 * median;
    if !is_sum || parts.is_empty() {
        return vec![(outcome.headline.to_owned(), median)];
    }
    parts.into_iter().map(|(name, value)| (name, value / sum * median)).collect()
}

/// A round number that gives about five ticks.
pub(super) fn step(high: f64) -> f64 {
    let rough = (high / 5.0).max(1e-9);
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= rough).unwrap_or(10.0);
    factor * power
}

fn plain(value: f64) -> String {
    if value >= 1000.0 { number(value) } else { format!("{}", (value * 1000.0).round() / 1000.0) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn ticks_are_round() {
        for (high, step) in [(4.9, 1.0), (93.0, 20.0), (1700.0, 500.0), (0.3, 0.1)] {
            assert!((super::step(high) - step).abs() < 1e-9, "{high}: {}", super::step(high));
        }
    }
}
