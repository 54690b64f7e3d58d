//! Latency by percentile: one thin curve per round, a thick one for all rounds, time on a logarithmic axis.

use hdrhistogram::Histogram;

use super::svg::{Anchor, Drawing, colour};
use crate::outcome::Outcome;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 46.0;
/// Percentiles with a line, and how they are called.
const TICKS: &[(f64, &str)] =
    &[(0.0, "0"), (0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %"), (0.9999, "99.99 %")];
const NINES_MAX: f64 = 5.0;
/// Between two points of a curve.
const NINES_STEP: f64 = 0.05;

pub(super) fn draw(outcome: &Outcome) -> Option<String> {
    let merged: Vec<(usize, String, Histogram<u64>)> = outcome
        .sides
        .iter()
        .enumerate()
        .filter_map(|(index, side)| Some((index, side.name.clone(), side.latency()?)))
        .collect();
    let plane = Plane::over(&merged)?;
    let mut drawing = Drawing::new(WIDTH, HEIGHT);
    plane.grid(&mut drawing);
    for (index, side) in outcome.sides.iter().enumerate() {
        for latency in side.samples.iter().filter_map(|sample| sample.latency.as_ref()) {
            drawing.curve(&plane.points(latency), colour(&side.name, index), 1.0, 0.3);
        }
    }
    for (index, name, latency) in &merged {
        drawing.curve(&plane.points(latency), colour(name, *index), 2.5, 1.0);
    }
    legend(&mut drawing, &merged);
    Some(drawing.finish(&format!("{}: latency by percentile", outcome.title)))
}

fn legend(drawing: &mut Drawing, sides: &[(usize, String, Histogram<u64>)]) {
    let mut x = LEFT;
    for (index, name, _) in sides {
        drawing.curve(&[(x, 14.0), (x + 22.0, 14.0)], colour(name, *index), 2.5, 1.0);
        drawing.text((x + 28.0, 18.5), Anchor::Start, "label", name);
        x += 60.0 + 7.6 * name.chars().count() as f64;
    }
}

/// Percentiles by their nines from left to right, milliseconds by their logarithm from bottom to top.
struct Plane {
    nines: f64,
    low: f64,
    high: f64,
}

impl Plane {
    fn over(sides: &[(usize, String, Histogram<u64>)]) -> Option<Plane> {
        let fewest = sides.iter().map(|(_, _, latency)| latency.len()).min()?;
        let low = sides.iter().map(|(_, _, latency)| latency.min()).min()?;
        let high = sides.iter().map(|(_, _, latency)| latency.max()).max()?;
        Some(Plane {
            nines: (fewest.max(10) as f64).log10().clamp(1.0, NINES_MAX),
            low: ms(low.max(1)).log10().floor(),
            high: ms(high.max(1)).log10().ceil(),
        })
    }

    fn x(&self, nines: f64) -> f64 {
        LEFT + nines / self.nines * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, ms: f64) -> f64 {
        let share = (ms.log10() - self.low) / (self.high - self.low).max(1.0);
        HEIGHT - BOTTOM - share.clamp(0.0, 1.0) * (HEIGHT - TOP - BOTTOM)
    }

    fn points(&self, latency: &Histogram<u64>) -> Vec<(f64, f64)> {
        let last = self.nines.min((latency.len().max(2) as f64).log10());
        let steps = (last / NINES_STEP) as usize;
        (0..=steps)
            .map(|step| {
                let nines = step as f64 * NINES_STEP;
                let value = latency.value_at_quantile(1.0 - 10f64.powf(-nines));
                (self.x(nines), self.y(ms(value.max(1))))
            })
            .collect()
    }

    fn grid(&self, drawing: &mut Drawing) {
        for (quantile, name) in TICKS {
            let nines = -(1.0 - quantile).log10();
            if nines > self.nines {
                break;
            }
            let x = self.x(nines);
            drawing.line((x, TOP), (x, HEIGHT - BOTTOM), "grid");
            drawing.text((x, HEIGHT - BOTTOM + 16.0), Anchor::Middle, "small", name);
        }
        for decade in self.low as i32..=self.high as i32 {
            self.horizontal(drawing, 10f64.powi(decade), "grid");
            for factor in [2.0, 5.0] {
                if decade < self.high as i32 {
                    self.horizontal(drawing, factor * 10f64.powi(decade), "faint");
                }
            }
        }
        let middle = LEFT + (WIDTH - LEFT - RIGHT) / 2.0;
        drawing.text((middle, HEIGHT - 10.0), Anchor::Middle, "small", "percentile of requests; thin: single rounds");
        drawing.text((LEFT - 54.0, TOP - 8.0), Anchor::Start, "small", "ms");
    }

    fn horizontal(&self, drawing: &mut Drawing, ms: f64, class: &str) {
        let y = self.y(ms);
        drawing.line((LEFT, y), (WIDTH - RIGHT, y), class);
        let name = if ms >= 1.0 { format!("{ms:.0}") } else { format!("{ms}") };
        drawing.text((LEFT - 8.0, y + 4.0), Anchor::End, "small", &name);
    }
}

fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}
