//! `postern terms …`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Subcommand};
use postern_model::directory::Line;
use postern_model::ids::Name;
use postern_model::terms::TERMS_TITLE_BYTES_MAX;
use postern_service::duration;

use super::reference;

#[derive(Subcommand, Debug)]
pub(crate) enum TermsCommand {
    /// Make terms of use; policies ask for them by --require terms/NAME
    #[command(after_help = "Examples:
  postern terms create house --title 'House rules' --file house.txt
  postern terms create guests --title 'Terms for guests' --file guests.md --every 90d

A file whose name ends in .md has headings (#) and lists (-); of any other, lines are shown as they
are. Nothing of it is HTML.")]
    Create(TermsCreateArgs),
    /// List terms
    #[command(after_help = "Examples:
  postern terms list
  postern terms list -o json")]
    List,
    /// Show terms and what they say
    #[command(after_help = "Examples:
  postern terms show house
  postern terms show house --version 1")]
    Show {
        /// Name
        #[arg(value_parser = reference)]
        name: String,
        /// An earlier version
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        version: Option<u32>,
    },
    /// Change terms: another title or text is a new version
    #[command(after_help = "Examples:
  postern terms update house --file house.txt
  postern terms update house --file house.txt --again
  postern terms update guests --once

Without --again whoever accepted an earlier version is not asked. With it everybody is, at once:
sessions in progress stop at applications that ask for these terms until they are accepted.")]
    Update(TermsUpdateArgs),
    /// Remove terms that no policy asks for, with who accepted them
    #[command(after_help = "Examples:
  postern terms remove guests")]
    Remove {
        /// Name
        #[arg(value_parser = reference)]
        name: String,
    },
    /// List who accepted terms, which version and when
    #[command(after_help = "Examples:
  postern terms acceptances house
  postern terms acceptances house -o json")]
    Acceptances {
        /// Name
        #[arg(value_parser = reference)]
        name: String,
    },
}

#[derive(clap::Args, Debug)]
pub(crate) struct TermsCreateArgs {
    /// What policies call them: a-z, 0-9 and -
    pub(crate) name: Name,
    /// What users see above the text
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Line<TERMS_TITLE_BYTES_MAX>,
    /// The text, at most 64 KiB of UTF-8
    #[arg(long, value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// To be accepted again after so long; once unless given
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) every: Option<Duration>,
}

#[derive(clap::Args, Debug)]
#[command(group = ArgGroup::new("change").required(true).multiple(true).args(["title", "file", "every", "once", "again"]))]
pub(crate) struct TermsUpdateArgs {
    /// Name
    #[arg(value_parser = reference)]
    pub(crate) name: String,
    /// Another title
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<Line<TERMS_TITLE_BYTES_MAX>>,
    /// Another text
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// To be accepted again after so long
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, conflicts_with = "once")]
    pub(crate) every: Option<Duration>,
    /// Not to be accepted again after a while
    #[arg(long)]
    pub(crate) once: bool,
    /// Ask everybody again who accepted an earlier version
    #[arg(long)]
    pub(crate) again: bool,
}
