//! What a scenario found: figures by side and round, medians, ratios within rounds.

use hdrhistogram::Histogram;
use serde::Serialize;

/// The side that everything else is compared with.
pub const POSTERN: &str = "postern";

/// An interval of fewer values is not worth quoting.
const INTERVAL_VALUES_MIN: usize = 7;
/// How often an interval may miss what it is to hold.
const MISSED_MAX: f64 = 0.05;

/// One number of one side in one round.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    pub name: &'static str,
    pub unit: &'static str,
    pub value: f64,
}

pub const fn figure(name: &'static str, unit: &'static str, value: f64) -> Figure {
    Figure { name, unit, value }
}

/// One side in one round.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Sample {
    pub figures: Vec<Figure>,
    /// What the headline figure is made of, by process.
    pub parts: Vec<(String, f64)>,
    /// How much of a core programs that have nothing to do with it used meanwhile.
    pub others_share: f64,
    pub failed: u64,
    #[serde(skip)]
    pub latency: Option<Histogram<u64>>,
}

impl Sample {
    pub fn value(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|figure| figure.name == name).map(|figure| figure.value)
    }
}

/// One side in all rounds.
#[derive(Debug, Clone, Serialize)]
pub struct Side {
    pub name: String,
    pub samples: Vec<Sample>,
}

/// Median and extremes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    pub median: f64,
    pub low: f64,
    pub high: f64,
    /// From where to where the median of ever more values lies, with 95 % confidence; `None` of too few values.
    pub interval: Option<(f64, f64)>,
}

/// All sides of one scenario.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    pub name: String,
    pub title: String,
    /// How it was done, in a sentence or two.
    pub method: String,
    /// The figure that sides are compared by.
    pub headline: &'static str,
    /// Whether sides do the same thing, so that a ratio of them means something.
    pub compares: bool,
    pub sides: Vec<Side>,
    /// What a reader must know beside the figures.
    pub remarks: Vec<String>,
    /// Postern did not do what it should: the run as a whole fails.
    pub failed: bool,
}

impl Spread {
    /// `None` of nothing.
    pub fn of(mut values: Vec<f64>) -> Option<Spread> {
        values.sort_by(f64::total_cmp);
        let (low, high) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
        let interval = interval_place(values.len()).map(|place| (values[place], values[values.len() - 1 - place]));
        Some(Spread { median, low, high, interval })
    }
}

/// How many of so many sorted values lie outside the median's 95 % interval at each end. By the sign test: each value is above
/// the true median or below as a coin falls, so both ends together miss it as often as coins fall so one-sidedly.
fn interval_place(count: usize) -> Option<usize> {
    let mut place = None;
    // Of the ways in which the coins fall, the share with exactly so many heads, and with up to so many.
    let mut share = 0.5f64.powi(i32::try_from(count).ok()?);
    let mut tail = share;
    for heads in 0..count / 2 {
        if count < INTERVAL_VALUES_MIN || 2.0 * tail > MISSED_MAX {
            break;
        }
        place = Some(heads);
        share *= (count - heads) as f64 / (heads + 1) as f64;
        tail += share;
    }
    place
}

impl Side {
    pub fn spread(&self, name: &str) -> Option<Spread> {
        Spread::of(self.samples.iter().filter_map(|sample| sample.value(name)).collect())
    }

    /// Medians of the parts.
    pub fn parts(&self) -> Vec<(String, f64)> {
        let Some(first) = self.samples.first() else { return Vec::new() };
        let median = |index: usize| {
            let values = self.samples.iter().filter_map(|sample| sample.parts.get(index)).map(|(_, value)| *value);
            Spread::of(values.collect()).map_or(0.0, |spread| spread.median)
        };
        first.parts.iter().enumerate().map(|(index, (name, _))| (name.clone(), median(index))).collect()
    }

    /// All rounds' latencies together.
    pub fn latency(&self) -> Option<Histogram<u64>> {
        let mut all = self.samples.iter().filter_map(|sample| sample.latency.as_ref());
        let mut sum = all.next()?.clone();
        for more in all {
            // They have the same bounds.
            let _ = sum.add(more);
        }
        Some(sum)
    }

    /// Names and units of its figures, in order.
    pub fn columns(&self) -> Vec<(&'static str, &'static str)> {
        let first = self.samples.first();
        first.map_or(Vec::new(), |sample| sample.figures.iter().map(|figure| (figure.name, figure.unit)).collect())
    }
}

impl Outcome {
    /// Nothing found yet.
    pub fn new(name: &str, title: &str, method: &str, headline: &'static str) -> Outcome {
        Outcome {
            name: name.into(),
            title: title.into(),
            method: method.into(),
            headline,
            compares: true,
            sides: Vec::new(),
            remarks: Vec::new(),
            failed: false,
        }
    }

    pub fn postern(&self) -> Option<&Side> {
        self.sides.iter().find(|side| side.name == POSTERN)
    }

    /// Postern's headline over another side's, round by round.
    pub fn ratio(&self, to: &Side) -> Option<Spread> {
        let postern = self.postern().filter(|_| self.compares)?;
        let pairs = postern.samples.iter().zip(&to.samples);
        let ratios =
            pairs.filter_map(|(own, other)| Some(own.value(self.headline)? / other.value(self.headline)?)).collect();
        Spread::of(ratios)
    }

    /// The largest share of a core that strangers used in any sample.
    pub fn disturbance(&self) -> f64 {
        let samples = self.sides.iter().flat_map(|side| &side.samples);
        samples.map(|sample| sample.others_share).fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(name: &str, values: &[f64]) -> Side {
        let sample = |value: &f64| Sample { figures: vec![figure("cost", "µs", *value)], ..Sample::default() };
        Side { name: name.into(), samples: values.iter().map(sample).collect() }
    }

    #[test]
    fn ratios_are_taken_within_rounds() {
        let sides = vec![side(POSTERN, &[10.0, 30.0, 40.0]), side("peer", &[10.0, 20.0, 10.0])];
        let outcome = Outcome { sides, ..Outcome::new("x", "", "", "cost") };
        let ratio = outcome.ratio(&outcome.sides[1]);
        assert_eq!(ratio, Some(Spread { median: 1.5, low: 1.0, high: 4.0, interval: None }));
    }

    #[test]
    fn the_middle_of_an_even_number_lies_between_two() {
        assert_eq!(Spread::of(vec![4.0, 1.0, 2.0, 3.0]).unwrap().median, 2.5);
        assert_eq!(Spread::of(Vec::new()), None);
    }

    #[test]
    fn intervals_are_those_of_the_sign_test() {
        // Places, from 1, as tables of the sign test have them.
        for (count, ends) in
            [(7_u32, (1_u32, 7_u32)), (8, (1, 8)), (9, (2, 8)), (12, (3, 10)), (20, (6, 15)), (30, (10, 21))]
        {
            let spread = Spread::of((1..=count).rev().map(f64::from).collect()).unwrap();
            assert_eq!(spread.interval, Some((f64::from(ends.0), f64::from(ends.1))), "{count}");
        }
        assert_eq!(Spread::of(vec![1.0; 6]).unwrap().interval, None);
    }
}
