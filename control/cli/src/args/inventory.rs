//! `postern inventory …`.

use std::path::PathBuf;

use clap::Subcommand;
use postern_model::ids::Name;

use crate::inventory::columns::meanings;

#[derive(Subcommand, Debug)]
pub(crate) enum InventoryCommand {
    /// Write a sheet (CSV) with a header row and an example, to be filled in
    #[command(after_help = template_help())]
    Template(SheetArgs),
    /// Look at each application of a sheet from this host, and fill empty cells with what is seen
    #[command(after_help = PROBE_HELP)]
    Probe {
        /// The sheet, CSV or JSON; - for standard input
        file: PathBuf,
        #[command(flatten)]
        sheet: SheetArgs,
    },
    /// Check a sheet in another order of columns, or JSON, and write it as a sheet
    #[command(after_help = IMPORT_HELP)]
    Import {
        /// The sheet, CSV or JSON; - for standard input
        file: PathBuf,
        #[command(flatten)]
        sheet: SheetArgs,
    },
    /// Write what is published already as a sheet
    #[command(after_help = "Examples:
  postern inventory export --out published.csv
  postern inventory export --tenant acme -o json")]
    Export(SheetArgs),
    /// Make a file for `apply` of a sheet, the simple applications first
    #[command(after_help = PLAN_HELP)]
    Plan(PlanArgs),
}

/// Where a sheet goes.
#[derive(clap::Args, Debug)]
pub(crate) struct SheetArgs {
    /// Write it to this file instead of stdout
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// With a byte order mark, which some spreadsheet programs need to see that it is UTF-8
    #[arg(long)]
    pub(crate) bom: bool,
}

#[derive(clap::Args, Debug)]
pub(crate) struct PlanArgs {
    /// The sheet, CSV or JSON; - for standard input
    pub(crate) file: PathBuf,
    /// The connector group of applications for which the sheet names none [default: default]
    #[arg(long, value_name = "G")]
    pub(crate) group: Option<Name>,
    /// Write it to this file instead of stdout
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

fn template_help() -> String {
    format!("{TEMPLATE_EXAMPLES}\n\nColumns:\n{}", meanings())
}

const TEMPLATE_EXAMPLES: &str = "Examples:
  postern inventory template --out apps.csv
  postern inventory template --bom > apps.csv

A file that is there already is left alone.";

const PROBE_HELP: &str = "Examples:
  postern inventory probe apps.csv --out probed.csv
  postern inventory probe apps.csv -o json

Sixteen are looked at together, each for 20 s at most: name, connection, certificate, first page. No
password is sent, no certificate is believed, and no redirect to another host is followed. What was
seen, and what was not, is told on stderr. Cells that are not empty stay as they are.";

const IMPORT_HELP: &str = "Examples:
  postern inventory import list.csv --out apps.csv
  postern inventory import apps.json --out apps.csv

Every mistake is told, with its line and column; then nothing is written. Columns that no inventory
has are left out with a warning. Commas, semicolons and tabs separate fields.";

const PLAN_HELP: &str = "Examples:
  postern inventory plan apps.csv --out plan.toml
  postern inventory plan apps.csv --group hq | postern diff -f -

What is not known, or needs something first, is commented out. Applications that cannot be published
are left out with a warning.";
