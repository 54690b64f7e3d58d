//! `postern histogram`: percentiles of each stage, and a plot of one.

mod hgrm;
mod plot;

use std::io::IsTerminal as _;
use std::path::Path;

use anyhow::Result;
use hdrhistogram::Histogram;
use postern_model::admin::path;
use postern_model::question::{HistogramReport, HistogramsView, Stage};
use postern_service::failure::Failure;
use serde_json::{Value, json};

use super::Context;
use crate::args::HistogramArgs;
use crate::output::{Output, print};
use plot::Canvas;
pub(in crate::commands) use plot::time;

/// One stage's times.
struct Measured {
    stage: Stage,
    times: Histogram<u64>,
    sum_us: u64,
}

/// All stages' times, and whom they are of.
struct Picture {
    view: HistogramsView,
    stages: Vec<Measured>,
}

pub(super) fn run(context: &Context, args: &HistogramArgs) -> Result<()> {
    if args.watch {
        return watch(context, args);
    }
    let mut picture = ask(context, args)?;
    if let Some(period) = args.period {
        std::thread::sleep(period);
        let before = std::mem::replace(&mut picture, ask(context, args)?);
        picture.subtract(&before);
    }
    show(context.output, args, &picture)?;
    if let Some(file) = &args.export {
        export(&picture, args.stage.into(), file)?;
    }
    Ok(())
}

fn watch(context: &Context, args: &HistogramArgs) -> Result<()> {
    let redraw = std::io::stdout().is_terminal();
    let mut before = ask(context, args)?;
    let mut left = args.count;
    while left != Some(0) {
        std::thread::sleep(args.every);
        let now = ask(context, args)?;
        let mut picture = Picture { view: now.view.clone(), stages: now.stages.iter().map(Measured::copy).collect() };
        picture.subtract(&before);
        if redraw {
            print(CLEAR)?;
        }
        show(context.output, args, &picture)?;
        before = now;
        left = left.map(|left| left - 1);
    }
    Ok(())
}

fn ask(context: &Context, args: &HistogramArgs) -> Result<Picture> {
    let client = &context.client;
    let mut wanted = path::histograms(&client.tenant());
    if let Some(app) = &args.app {
        wanted.push_str("?app=");
        wanted.push_str(&app.0);
    }
    let view: HistogramsView = client.get(&wanted)?;
    let stages = view.items.iter().map(Measured::read).collect::<Result<_>>()?;
    Ok(Picture { view, stages })
}

impl Measured {
    fn read(report: &HistogramReport) -> Result<Self> {
        let times = report.histogram().map_err(|error| {
            Failure::new(format!("postern-control's answer is not understood: {error}"))
                .cure("use the postern command of the same version as postern-control")
        })?;
        Ok(Self { stage: report.stage, times, sum_us: report.sum_us })
    }

    fn copy(&self) -> Self {
        Self { stage: self.stage, times: self.times.clone(), sum_us: self.sum_us }
    }

    fn mean_us(&self) -> f64 {
        if self.times.is_empty() { 0.0 } else { self.sum_us as f64 / self.times.len() as f64 }
    }

    fn document(&self) -> Value {
        let at = |quantile: f64| self.times.value_at_quantile(quantile);
        json!({
            "stage": self.stage,
            "count": self.times.len(),
            "mean_us": self.mean_us(),
            "p50_us": at(0.5),
            "p90_us": at(0.9),
            "p99_us": at(0.99),
            "p999_us": at(0.999),
            "max_us": self.times.max(),
            "v2": HistogramReport::new(None, self.stage, &self.times, self.sum_us).v2,
        })
    }
}

impl Picture {
    /// Leaves what came in since `before`. A relay that began anew counts from 0: its stage stays as it is.
    fn subtract(&mut self, before: &Self) {
        for now in &mut self.stages {
            let Some(old) = before.stages.iter().find(|old| old.stage == now.stage) else { continue };
            let mut difference = now.times.clone();
            if difference.subtract(&old.times).is_ok() {
                now.times = difference;
                now.sum_us = now.sum_us.saturating_sub(old.sum_us);
            }
        }
        self.stages.retain(|stage| !stage.times.is_empty());
    }

    fn stage(&self, stage: Stage) -> Option<&Measured> {
        self.stages.iter().find(|measured| measured.stage == stage)
    }

    fn document(&self) -> Value {
        json!({
            "app": self.view.app,
            "relays": self.view.relays,
            "warnings": self.view.warnings,
            "stages": self.stages.iter().map(Measured::document).collect::<Vec<_>>(),
        })
    }
}

fn show(output: Output, args: &HistogramArgs, picture: &Picture) -> Result<()> {
    let document = picture.document();
    let text = |_: &Value| {
        let mut text = table(output, picture);
        if let Some(measured) = picture.stage(args.stage.into()) {
            text.push_str(&format!("\n{}\n", heading(picture, measured.stage)));
            text.push_str(&plot::draw(&measured.times, Canvas::of_stdout(output.colours())));
        }
        text
    };
    if args.watch {
        output.show_line(&document, text)?
    } else {
        output.show(&document, text)?
    }
    output.warn(&picture.view.warnings);
    Ok(())
}

fn table(output: Output, picture: &Picture) -> String {
    let heads = ["STAGE", "COUNT", "MEAN", "P50", "P90", "P99", "P99.9", "MAX"];
    let table = output.table(heads).rows(&picture.stages, |measured| {
        let at = |quantile: f64| time(measured.times.value_at_quantile(quantile) as f64);
        [
            measured.stage.as_str().to_owned(),
            measured.times.len().to_string(),
            time(measured.mean_us()),
            at(0.5),
            at(0.9),
            at(0.99),
            at(0.999),
            time(measured.times.max() as f64),
        ]
    });
    table.render("no requests were recorded")
}

fn heading(picture: &Picture, stage: Stage) -> String {
    let whose = picture.view.app.as_ref().map_or("all applications".to_owned(), |app| format!("app/{app}"));
    format!("{whose}, {}: time by percentile", stage.as_str())
}

fn export(picture: &Picture, stage: Stage, file: &Path) -> Result<()> {
    let Some(measured) = picture.stage(stage) else {
        let empty = Failure::new(format!("nothing was recorded of the stage {}: no file was written", stage.as_str()));
        return Err(empty.cure("send some requests, or choose another --stage").into());
    };
    std::fs::write(file, hgrm::distribution(&measured.times))
        .map_err(|error| Failure::new(format!("cannot write {}: {error}", file.display())).into())
}

/// Home, and clear what is below.
const CLEAR: &str = "\x1b[H\x1b[J";

#[cfg(test)]
mod tests {
    use super::*;
    use postern_model::histogram;

    fn picture(samples: &[u64]) -> Picture {
        let mut times = histogram::empty();
        samples.iter().for_each(|us| times.record(*us).unwrap());
        let view = HistogramsView { app: None, items: Vec::new(), relays: vec!["edge".into()], warnings: Vec::new() };
        Picture { view, stages: vec![Measured { stage: Stage::Total, times, sum_us: samples.iter().sum() }] }
    }

    #[test]
    fn a_period_shows_what_came_in_meanwhile() {
        let mut now = picture(&[100, 100, 900]);
        now.subtract(&picture(&[100]));
        let total = now.stage(Stage::Total).unwrap();
        assert_eq!((total.times.len(), total.sum_us, total.times.min()), (2, 1000, 100));
        let mut restarted = picture(&[5]);
        restarted.subtract(&picture(&[100, 100]));
        assert_eq!(restarted.stage(Stage::Total).unwrap().times.len(), 1, "counted anew");
        let mut same = picture(&[5]);
        same.subtract(&picture(&[5]));
        assert!(same.stage(Stage::Total).is_none(), "nothing came in");
    }

    #[test]
    fn programs_get_microseconds() {
        let document = picture(&[100, 200, 300_000]).document();
        let total = &document["stages"][0];
        assert_eq!((&total["stage"], &total["count"], &total["p50_us"]), (&json!("total"), &json!(3), &json!(200)));
        assert_eq!(total["mean_us"], json!(100_100.0));
        let max = total["max_us"].as_u64().unwrap();
        assert!((300_000..302_400).contains(&max), "{max}");
    }
}
