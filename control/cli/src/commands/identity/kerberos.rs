//! `postern identity kerberos …`.

use anyhow::Result;
use postern_model::admin::{Changed, path};
use postern_model::ids::Name;
use postern_model::negotiate::KerberosSignIn;
use postern_model::sso::SsoLogin;

use super::super::Context;
use crate::args::{KerberosCommand, KerberosNames};
use crate::output::details;

pub(super) fn run(context: &Context, command: KerberosCommand) -> Result<()> {
    let Context { client, output } = context;
    let target = path::kerberos(&client.tenant());
    match command {
        KerberosCommand::Set { realms, networks, login } => {
            let settings = KerberosSignIn { realms, networks, login: names(login) };
            let changed: Changed = client.put(&target, &settings)?;
            let line = format!("tickets of {} sign in from {}", settings.realms.join(", "), networks_of(&settings));
            output.changed(&changed, &line, &changed.warnings)
        }
        KerberosCommand::Show => {
            let settings: KerberosSignIn = client.get(&target)?;
            output.show(&settings, |settings| {
                details(&[
                    ("realms", settings.realms.join(", ")),
                    ("networks", networks_of(settings)),
                    ("users by", settings.login.as_str().to_owned()),
                ])
            })
        }
        KerberosCommand::Remove => {
            let changed: Changed = client.delete(&target)?;
            output.changed(&changed, "nobody signs in by a Kerberos ticket any more", &changed.warnings)
        }
    }
}

pub(crate) const fn names(given: KerberosNames) -> SsoLogin {
    match given {
        KerberosNames::Upn => SsoLogin::Upn,
        KerberosNames::OnPremUpn => SsoLogin::OnPremUpn,
        KerberosNames::UserPart => SsoLogin::UserPart,
        KerberosNames::SamAccountName => SsoLogin::SamAccountName,
    }
}

fn networks_of(settings: &KerberosSignIn) -> String {
    settings.networks.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")
}
