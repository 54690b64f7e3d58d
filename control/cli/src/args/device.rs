//! `postern device …`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Subcommand, ValueEnum};
use postern_model::device::DEVICE_NAME_BYTES_MAX;
use postern_model::directory::Line;
use postern_model::ids::{DeviceId, Name};
use postern_service::duration;

use super::reference;

#[derive(Subcommand, Debug)]
pub(crate) enum DeviceCommand {
    /// List devices, and what each counts as
    #[command(after_help = "Examples:
  postern device list
  postern device list --owner anna
  postern device list --approval waiting
  postern device list --approval removed -o json")]
    List {
        /// Only this user's, by login name or id
        #[arg(long, value_name = "U", value_parser = reference)]
        owner: Option<String>,
        /// Only those; without it all but those that were removed
        #[arg(long, value_enum)]
        approval: Option<ApprovalGiven>,
    },
    /// Show one device
    #[command(after_help = "Examples:
  postern device show d1-4")]
    Show {
        /// Id
        id: DeviceId,
    },
    /// Let a device count: one that waits, is blocked, or was removed and is remembered
    #[command(after_help = "Examples:
  postern device list --approval waiting
  postern device approve d1-4")]
    Approve {
        /// Id
        id: DeviceId,
    },
    /// Let a device count for nothing, also in sessions in progress; no certificate for its key counts
    #[command(after_help = "Examples:
  postern device block d1-4

A device is known by its key. With another one that its MDM issues to, it comes back as another
device: block it there, too.")]
    Block {
        /// Id
        id: DeviceId,
    },
    /// Remove a device; one of another authority is remembered, and does not come back by itself
    #[command(after_help = "Examples:
  postern device remove d1-4")]
    Remove {
        /// Id
        id: DeviceId,
    },
    /// Say whether a device complies, whose it is, and what it is called
    #[command(after_help = "Examples:
  postern device set d1-4 --compliant yes
  postern device set d1-4 --compliant yes --for 7d
  postern device set d1-4 --compliant by-authority
  postern device set d1-4 --owner anna
  postern device set d1-4 --shared --name 'Reception desk'

After --for the device is registered, and complies no more. With another --owner the certificate of
a device that was enrolled ends: it counts again once they enrol it anew. So a shared one gets its
next certificate, too: give it to somebody, they enrol it, share it again.")]
    Set(DeviceSetArgs),
    /// Show or set how users enrol devices, and whether those sign them in
    #[command(after_help = "Examples:
  postern device settings
  postern device settings --approve operator
  postern device settings --approve auto --own-days 90
  postern device settings --sign-in yes

With auto, whoever has a user's password and second factor can enrol a device of their own. With
--sign-in yes, whoever uses an unlocked device of a user's can sign in as them where one factor is
enough.")]
    Settings(DeviceSettingsArgs),
    /// Authorities whose certificates count for devices, such as an MDM's
    #[command(subcommand)]
    Authority(DeviceAuthorityCommand),
}

#[derive(Subcommand, Debug)]
pub(crate) enum DeviceAuthorityCommand {
    /// Let certificates of an authority count, or replace its certificate
    #[command(after_help = "Examples:
  postern device authority add mdm --cert issuing-ca.pem
  postern device authority add mdm --cert issuing-ca.pem --compliant
  postern device authority add mdm --cert next-ca.pem
  postern device authority add mdm --cert issuing-ca.pem --compliant no

Name the certificate that devices' certificates are signed with, with no other between; theirs say
clientAuth. A device comes into the directory when it is seen first, as registered; with --compliant
it complies, too. A certificate with another key ends what was issued before.")]
    Add {
        /// What it is called: a-z, 0-9 and -
        name: Name,
        /// Its certificate, PEM
        #[arg(long, value_name = "FILE")]
        cert: PathBuf,
        /// Its devices comply: it issues to those only that do [default: as it was, of a new one no]
        #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "yes")]
        compliant: Option<AllCompliant>,
    },
    /// List authorities, the tenant's own among them once a device was enrolled
    #[command(after_help = "Examples:
  postern device authority list")]
    List,
    /// Remove an authority with its devices; own removes the tenant's, and its key
    #[command(after_help = "Examples:
  postern device authority remove mdm

Devices that were blocked or removed, are one user's, or do not comply by an operator's word are
kept for the case that it comes back; until then they count for nothing.")]
    Remove {
        /// Name
        #[arg(value_parser = reference)]
        name: String,
    },
}

#[derive(clap::Args, Debug)]
#[command(group = ArgGroup::new("change").required(true).multiple(true)
    .args(["compliant", "owner", "shared", "name"]))]
pub(crate) struct DeviceSetArgs {
    /// Id
    pub(crate) id: DeviceId,
    /// Whether it complies
    #[arg(long, value_enum)]
    pub(crate) compliant: Option<Compliant>,
    /// It complies for so long
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse, requires = "compliant")]
    pub(crate) lasts: Option<Duration>,
    /// It counts for this user alone, by login name or id
    #[arg(long, value_name = "U", value_parser = reference, conflicts_with = "shared")]
    pub(crate) owner: Option<String>,
    /// It counts for everybody
    #[arg(long)]
    pub(crate) shared: bool,
    /// What it is called
    #[arg(long, value_name = "TEXT")]
    pub(crate) name: Option<Line<DEVICE_NAME_BYTES_MAX>>,
}

#[derive(clap::Args, Debug)]
pub(crate) struct DeviceSettingsArgs {
    /// Who says that an enrolled device counts
    #[arg(long, value_enum)]
    pub(crate) approve: Option<ApprovedBy>,
    /// Certificates of the tenant's own authority are valid for so many days
    #[arg(long, value_name = "N")]
    pub(crate) own_days: Option<u16>,
    /// A device that its user enrolled signs them in without a question, as one factor
    #[arg(long, value_enum)]
    pub(crate) sign_in: Option<DeviceSignsIn>,
}

/// Whether devices sign their users in.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeviceSignsIn {
    /// They do
    Yes,
    /// Their users are asked
    No,
}

/// Whether a device complies.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compliant {
    /// It does
    Yes,
    /// It does not
    No,
    /// As its authority says of all its devices
    ByAuthority,
}

/// Whether devices of an authority comply.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AllCompliant {
    /// They do
    Yes,
    /// They are registered only
    No,
}

/// Who lets an enrolled device count.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ApprovedBy {
    /// It counts at once
    Auto,
    /// An operator, by postern device approve
    Operator,
}

/// Devices that are listed.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ApprovalGiven {
    /// No operator has looked at them
    Waiting,
    /// They count
    Approved,
    /// They count for nothing
    Blocked,
    /// They were removed and are remembered
    Removed,
}
