//! `postern assign …`.

use std::time::Duration;

use clap::Subcommand;
use postern_model::ids::Name;
use postern_service::duration;

use super::expiry::{Expiry, expiry};
use super::reference;

#[derive(clap::Args, Debug)]
#[command(subcommand_negates_reqs = true)]
pub(crate) struct AssignArgs {
    #[command(subcommand)]
    pub(crate) command: Option<AssignCommand>,
    /// The application: name or id
    #[arg(value_name = "APP", required = true, value_parser = reference)]
    pub(crate) app: Option<String>,
    #[command(flatten)]
    pub(crate) principal: PrincipalArgs,
    /// What the application is told they are, if it asks
    #[arg(long, value_name = "ROLE")]
    pub(crate) role: Option<Name>,
    /// When it ends: 30d, 2030-01-31T00:00:00Z or never
    #[arg(long, value_name = "WHEN", value_parser = expiry)]
    pub(crate) expires: Option<Expiry>,
}

/// Who: one of them.
#[derive(clap::Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct PrincipalArgs {
    /// A user: login name or id
    #[arg(long, value_name = "LOGIN", value_parser = reference)]
    pub(crate) user: Option<String>,
    /// A user group, with whoever is in groups that are nested in it: name or id
    #[arg(long, value_name = "NAME", value_parser = reference)]
    pub(crate) group: Option<String>,
    /// Every user of the tenant, guests too
    #[arg(long)]
    pub(crate) everyone: bool,
}

#[derive(Subcommand, Debug)]
pub(crate) enum AssignCommand {
    /// List who is assigned
    #[command(after_help = "Examples:
  postern assign list
  postern assign list wiki
  postern assign list --expiring 14d -o json")]
    List {
        /// Only of this application: name or id
        #[arg(value_name = "APP", value_parser = reference)]
        app: Option<String>,
        /// Only what ends within this time, or has ended
        #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
        expiring: Option<Duration>,
    },
    /// Report what ends soon, or has ended, and what nobody uses
    #[command(after_help = "Examples:
  postern assign report
  postern assign report --expiring 14d --unused 60d -o json

An assignment is used when it lets somebody in who comes from signing in; that is noted once a day.
A session that a browser keeps lets in for 30 days without it: --unused takes 31d and more. Of
several that a user has, the one that decides is used.")]
    Report {
        /// What ends within this time
        #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "30d")]
        expiring: Duration,
        /// What let nobody in for this time, and is as old
        #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "90d")]
        unused: Duration,
    },
    /// Take an assignment away
    #[command(after_help = "Examples:
  postern assign remove wiki --user anna@example.com
  postern assign remove wiki --group sales
  postern assign remove wiki --everyone")]
    Remove {
        /// The application: name or id
        #[arg(value_name = "APP", value_parser = reference)]
        app: String,
        #[command(flatten)]
        principal: PrincipalArgs,
    },
}

pub(super) const ASSIGN_EXAMPLES: &str = "Examples:
  postern assign wiki --group staff
  postern assign wiki --user anna@example.com --role editor
  postern assign crm --user carl@partner.example --expires 30d
  postern assign news --everyone
  postern assign list wiki
  postern assign report --expiring 30d --unused 90d
  postern assign remove wiki --group staff

Assigning again replaces role and end. Of several the user's own decides, then the groups', then
everyone's. They count where the application asks (--preauth oidc) and people can sign in
(postern identity publish); one published with --preauth passthrough is reached by everybody.
Applications named list, report or remove are given by their id.";
