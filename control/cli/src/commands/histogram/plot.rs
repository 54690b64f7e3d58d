//! A plot of times by percentile for a terminal: the further right, the rarer the requests; both axes are logarithmic, so
//! that the tail, which users feel, has as much room as the middle.

use std::io::IsTerminal as _;

use hdrhistogram::Histogram;
use terminal_size::{Height, Width, terminal_size};

/// Where the plot is drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Canvas {
    columns: usize,
    rows: usize,
    /// Braille dots; otherwise ASCII, for pipes and files.
    dots: bool,
    colours: bool,
}

impl Canvas {
    /// The terminal as wide as it is; for anything else 80 columns of ASCII.
    pub(super) fn of_stdout(colours: bool) -> Self {
        if !std::io::stdout().is_terminal() {
            return Self { columns: 80, rows: ROWS_MAX, dots: false, colours: false };
        }
        let (Width(columns), Height(rows)) = terminal_size().unwrap_or((Width(80), Height(24)));
        let rows = usize::from(rows).saturating_sub(TABLE_ROWS).clamp(6, ROWS_MAX);
        Self { columns: usize::from(columns).clamp(40, 160), rows, dots: true, colours }
    }

    /// Points that a character holds, across and down.
    fn resolution(self) -> (usize, usize) {
        if self.dots { (2, 4) } else { (1, 1) }
    }
}

/// Times from the smallest to the largest, and percentiles as far as there are samples for them.
struct Scales {
    low: f64,
    high: f64,
    /// Nines at the right edge: 3 means 99.9 %.
    nines: f64,
}

/// The plot, with both axes. `times` are µs and not empty.
pub(super) fn draw(times: &Histogram<u64>, canvas: Canvas) -> String {
    let scales = Scales::of(times);
    let labels: Vec<String> = (0..canvas.rows).map(|row| label(&scales, row, canvas.rows)).collect();
    let margin = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0);
    let width = canvas.columns.saturating_sub(margin + 2).max(10);
    let grid = grid(times, &scales, canvas, width);
    let mut text = String::new();
    for (label, row) in labels.iter().zip(grid) {
        let (axis, row) = (if canvas.dots { '┤' } else { '|' }, row.trim_end().to_owned());
        let row = if canvas.colours && !row.is_empty() { format!("\x1b[36m{row}\x1b[0m") } else { row };
        text.push_str(&format!("{}{label} {axis}{row}\n", " ".repeat(margin - label.chars().count())));
    }
    text.push_str(&foot(&scales, canvas, margin, width));
    text
}

impl Scales {
    fn of(times: &Histogram<u64>) -> Self {
        let (low, high) = (times.min().max(1) as f64, times.max().max(1) as f64);
        let nines = (times.len() as f64).log10().clamp(1.0, NINES_MAX);
        // A flat line in the middle, if all took the same time.
        if high <= low * 1.05 { Self { low: low / 2.0, high: high * 2.0, nines } } else { Self { low, high, nines } }
    }

    /// 0 at the bottom, 1 at the top.
    fn height(&self, us: f64) -> f64 {
        ((us.max(1.0) / self.low).ln() / (self.high / self.low).ln()).clamp(0.0, 1.0)
    }

    fn time_at(&self, height: f64) -> f64 {
        self.low * (self.high / self.low).powf(height)
    }

    /// 0 at the left, 1 at the right.
    fn quantile_at(&self, across: f64) -> f64 {
        1.0 - 10f64.powf(-self.nines * across)
    }
}

/// The curve, line by line, without axes.
fn grid(times: &Histogram<u64>, scales: &Scales, canvas: Canvas, width: usize) -> Vec<String> {
    let (across, down) = canvas.resolution();
    let (columns, rows) = (width * across, canvas.rows * down);
    let mut cells = vec![vec![0u8; width]; canvas.rows];
    let mut last = None;
    for column in 0..columns {
        let quantile = scales.quantile_at(column as f64 / (columns - 1).max(1) as f64);
        let height = scales.height(times.value_at_quantile(quantile) as f64);
        let row = ((1.0 - height) * (rows - 1) as f64).round() as usize;
        // Steps are joined, so that the curve has no holes.
        let from = last.unwrap_or(row);
        for row in from.min(row)..=from.max(row) {
            cells[row / down][column / across] |= bit(column % across, row % down);
        }
        last = Some(row);
    }
    cells.iter().map(|row| row.iter().map(|dots| letter(*dots, canvas)).collect()).collect()
}

fn bit(across: usize, down: usize) -> u8 {
    const BITS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
    BITS[across][down]
}

fn letter(dots: u8, canvas: Canvas) -> char {
    match (dots, canvas.dots) {
        (0, _) => ' ',
        (_, false) => '*',
        (_, true) => char::from_u32(0x2800 + u32::from(dots)).unwrap_or(' '),
    }
}

/// A time at some rows, the first and the last among them.
fn label(scales: &Scales, row: usize, rows: usize) -> String {
    let every = (rows / 4).max(1);
    if !row.is_multiple_of(every) && row + 1 != rows {
        return String::new();
    }
    time(scales.time_at(1.0 - row as f64 / (rows - 1) as f64))
}

/// The percentile axis.
fn foot(scales: &Scales, canvas: Canvas, margin: usize, width: usize) -> String {
    let (corner, line) = if canvas.dots { ('└', "─") } else { ('+', "-") };
    let mut labels = String::new();
    for nines in 0..=scales.nines.floor() as usize {
        let at = (nines as f64 / scales.nines * (width - 1) as f64).round() as usize;
        let label = percent(nines);
        let at = at.min(width.saturating_sub(label.len()));
        if nines == 0 || at > labels.chars().count() {
            labels.push_str(&" ".repeat(at - labels.chars().count()));
            labels.push_str(&label);
        }
    }
    format!("{0} {corner}{1}\n{0}  {labels}\n", " ".repeat(margin), line.repeat(width))
}

fn percent(nines: usize) -> String {
    match nines {
        0 => "0 %".into(),
        1 => "90 %".into(),
        2 => "99 %".into(),
        more => format!("99.{} %", "9".repeat(more - 2)),
    }
}

/// µs as people read them, with three digits.
pub(in crate::commands) fn time(us: f64) -> String {
    let (value, unit) = if us < 999.5 {
        (us, "µs")
    } else if us < 999_500.0 {
        (us / 1e3, "ms")
    } else {
        (us / 1e6, "s")
    };
    let digits = if unit == "µs" && value.fract() == 0.0 {
        0
    } else if value < 9.995 {
        2
    } else if value < 99.95 {
        1
    } else {
        0
    };
    format!("{value:.digits$} {unit}")
}

const NINES_MAX: f64 = 5.0;
const ROWS_MAX: usize = 16;
/// What the table above the plot and the prompt below take.
const TABLE_ROWS: usize = 14;

#[cfg(test)]
mod tests {
    use super::*;

    fn times(samples: impl IntoIterator<Item = u64>) -> Histogram<u64> {
        let mut times = postern_model::histogram::empty();
        samples.into_iter().for_each(|us| times.record(us).unwrap());
        times
    }

    fn canvas(dots: bool) -> Canvas {
        Canvas { columns: 60, rows: 8, dots, colours: false }
    }

    #[test]
    fn a_pipe_gets_ascii_that_rises_from_left_to_right() {
        let plot = draw(&times((1..=10_000).map(|n| 100 + n)), canvas(false));
        assert!(plot.is_ascii() || plot.replace('µ', "u").is_ascii(), "{plot}");
        let lines: Vec<&str> = plot.lines().collect();
        assert_eq!(lines.len(), 8 + 2);
        let first_star = |line: &str| line.chars().position(|letter| letter == '*');
        let stars: Vec<usize> = lines[..8].iter().filter_map(|line| first_star(line)).collect();
        assert!(stars.windows(2).all(|pair| pair[0] >= pair[1]), "higher is further right:\n{plot}");
        assert!(lines.iter().all(|line| line.chars().count() <= 60), "{plot}");
        assert!(lines[0].trim_start().starts_with("10.1 ms") && lines[7].trim_start().starts_with("101 µs"), "{plot}");
        assert!(lines[9].contains("0 %") && lines[9].contains("99.9 %"), "{plot}");
    }

    #[test]
    fn a_terminal_gets_dots_and_any_data_is_drawn() {
        for samples in [vec![0], vec![5, 5, 5], vec![1, 3_600_000_000], (0..500).collect()] {
            let plot = draw(&times(samples), canvas(true));
            assert!(plot.chars().any(|letter| ('\u{2801}'..='\u{28ff}').contains(&letter)), "{plot}");
            assert!(plot.lines().all(|line| line.chars().count() <= 60), "{plot}");
        }
    }

    #[test]
    fn times_have_three_digits() {
        for (us, text) in [
            (0.0, "0 µs"),
            (7.0, "7 µs"),
            (7.25, "7.25 µs"),
            (999.4, "999 µs"),
            (999.6, "1.00 ms"),
            (12_345.0, "12.3 ms"),
            (999_600.0, "1.00 s"),
            (75_000_000.0, "75.0 s"),
        ] {
            assert_eq!(time(us), text);
        }
    }
}
