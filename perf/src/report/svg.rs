//! Drawings as inline SVG. Colours of text and lines come from the page, so that they follow its light or dark scheme.

use std::fmt::Write;

/// A drawing under way, in user units that are pixels at full width.
pub(super) struct Drawing {
    body: String,
    width: f64,
    height: f64,
}

/// Where a text's given point is.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Drawing {
    pub(super) fn new(width: f64, height: f64) -> Drawing {
        Drawing { body: String::new(), width, height }
    }

    /// `about` is for those who do not see it.
    pub(super) fn finish(self, about: &str) -> String {
        let (width, height) = (self.width, self.height);
        format!(
            "<svg viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"{}\">{}</svg>\n",
            escape(about),
            self.body
        )
    }

    /// With a text that appears when pointed at.
    pub(super) fn bar(
        &mut self,
        (x, y): (f64, f64),
        (width, height): (f64, f64),
        fill: &str,
        opacity: f64,
        hint: &str,
    ) {
        self.push(&format!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{fill}\" \
             fill-opacity=\"{opacity:.2}\"><title>{}</title></rect>",
            escape(hint)
        ));
    }

    pub(super) fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), class: &str) {
        self.push(&format!("<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" class=\"{class}\"/>"));
    }

    pub(super) fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        self.push(&format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" class=\"{class}\">{}</text>",
            escape(text)
        ));
    }

    pub(super) fn curve(&mut self, points: &[(f64, f64)], stroke: &str, width: f64, opacity: f64) {
        let mut path = String::new();
        for (x, y) in points {
            // Writing to a string cannot fail.
            let _ = write!(path, "{x:.1},{y:.1} ");
        }
        self.push(&format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{stroke}\" stroke-width=\"{width}\" \
             stroke-opacity=\"{opacity:.2}\" stroke-linejoin=\"round\"/>",
            path.trim_end()
        ));
    }

    fn push(&mut self, element: &str) {
        self.body.push_str(element);
        self.body.push('\n');
    }
}

/// Distinguishable by most colour-blind readers (Okabe and Ito).
const COLOURS: &[&str] = &["#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9"];
/// Sides that have the same colour in every drawing.
const KNOWN: &[&str] = &["postern", "haproxy", "nginx", "haproxy→rathole"];

/// Of a side with that name, the others by their place.
pub(super) fn colour(name: &str, place: usize) -> &'static str {
    let known = KNOWN.iter().position(|known| *known == name);
    COLOURS[known.unwrap_or(place) % COLOURS.len()]
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
