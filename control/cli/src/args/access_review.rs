//! `postern access review …`.

use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use postern_model::admin::JUSTIFICATION_BYTES_MAX;
use postern_model::directory::Line;
use postern_model::ids::AccessReviewId;
use postern_service::duration;

use super::assign::PrincipalArgs;
use super::reference;

#[derive(Subcommand, Debug)]
pub(crate) enum AccessReviewCommand {
    /// Start a review of everybody who is assigned to an application
    #[command(after_help = "Examples:
  postern access review start crm
  postern access review start crm --reviewer user/bert@example.com,group/leads --due 14d

Reviewers decide in My Apps, operators here. Nothing happens by itself when a review is overdue.")]
    Start {
        /// The application: name or id
        #[arg(value_name = "APP", value_parser = reference)]
        app: String,
        /// Who decides besides operators: user/LOGIN or group/NAME
        #[arg(long = "reviewer", value_name = "WHO", value_delimiter = ',')]
        reviewers: Vec<String>,
        /// Until when it is to be done
        #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "14d")]
        due: Duration,
    },
    /// List the reviews that go on
    #[command(after_help = "Examples:
  postern access review list
  postern access review list --all -o json")]
    List {
        /// Those that are finished, too
        #[arg(long)]
        all: bool,
    },
    /// Show who is under review, and what was decided
    #[command(after_help = "Examples:
  postern access review show rv1-2")]
    Show {
        /// The review: its id, as the list has it
        review: AccessReviewId,
    },
    /// Decide that an assignment stays
    #[command(after_help = "Examples:
  postern access review keep rv1-2 --user anna@example.com
  postern access review keep rv1-2 --group sales --note 'asked their lead'")]
    Keep(DecideReviewArgs),
    /// Decide that an assignment does not stay: it is taken away at once
    #[command(after_help = "Examples:
  postern access review remove rv1-2 --user carl@partner.example --note 'has left the project'")]
    Remove(DecideReviewArgs),
    /// Finish a review
    #[command(after_help = "Examples:
  postern access review finish rv1-2 --undecided remove")]
    Finish {
        /// The review: its id, as the list has it
        review: AccessReviewId,
        /// What becomes of those that nobody decided about
        #[arg(long, value_enum)]
        undecided: Undecided,
    },
}

#[derive(clap::Args, Debug)]
pub(crate) struct DecideReviewArgs {
    /// The review: its id, as the list has it
    pub(crate) review: AccessReviewId,
    #[command(flatten)]
    pub(crate) principal: PrincipalArgs,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) note: Line<JUSTIFICATION_BYTES_MAX>,
}

/// What becomes of those that nobody decided about.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undecided {
    /// They stay
    Keep,
    /// They are taken away
    Remove,
}
