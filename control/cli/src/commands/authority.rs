//! `postern acme …` and `postern domain …`.

use anyhow::Result;
use postern_model::admin::{AcmeView, AddDomain, Changed, DomainChanged, DomainView, List, SetAcme, path};

use super::Context;
use super::app::read_key;
use crate::args::{AcmeCommand, AcmeSetArgs, DomainCommand};
use crate::client::{read_text, segment};
use crate::output::{Output, details, joined, yes_no};
use crate::time_text::utc;

pub(super) fn run_acme(context: &Context, command: AcmeCommand) -> Result<()> {
    let Context { client, output } = context;
    let tenant = client.tenant();
    match command {
        AcmeCommand::Set(args) => {
            let view: AcmeView = client.put_at_length(&path::acme(&tenant), &asked(args)?)?;
            output.changed(&view, &format!("account {} at {}", view.account, view.directory), &[])
        }
        AcmeCommand::Show => {
            let view: AcmeView = client.get(&path::acme(&tenant))?;
            output.show(&view, show)
        }
        AcmeCommand::Remove => {
            let changed: Changed = client.delete(&path::acme(&tenant))?;
            output.changed(&changed, "the account is forgotten", &changed.warnings)
        }
    }
}

fn asked(args: AcmeSetArgs) -> Result<SetAcme> {
    let AcmeSetArgs { directory, contact, eab_kid, eab_key_file, ca } = args;
    let eab_key = eab_key_file.as_deref().map(read_key).transpose()?;
    let ca_pem = ca.as_deref().map(read_text).transpose()?;
    Ok(SetAcme { directory, contact, eab_kid, eab_key, ca_pem })
}

fn show(view: &AcmeView) -> String {
    details(&[
        ("directory", view.directory.clone()),
        ("account", view.account.clone()),
        ("contact", joined(&view.contact)),
        ("bound to", view.eab_kid.clone().unwrap_or_default()),
        ("own CA", yes_no(view.own_ca)),
    ])
}

pub(super) fn run_domain(context: &Context, command: DomainCommand) -> Result<()> {
    let Context { client, output } = context;
    let tenant = client.tenant();
    match command {
        DomainCommand::Add { domain } => {
            let added: DomainChanged = client.post(&path::domains(&tenant), &AddDomain { name: domain })?;
            let DomainView { name, record_name, record_value, verified_unix } = &added.domain;
            let line = match verified_unix {
                Some(at) => format!("domain {name} is verified since {}", utc(*at)),
                None => format!(
                    "domain {name} added; publish the record, then postern domain verify {name}\n{record_name} TXT \"{record_value}\""
                ),
            };
            output.changed(&added, &line, &added.warnings)
        }
        DomainCommand::List => {
            let list: List<DomainView> = client.get(&path::domains(&tenant))?;
            output.show(&list, |list| table(*output, &list.items))
        }
        DomainCommand::Verify { domain } => {
            let target = path::domain_verify(&tenant, &segment(&domain));
            let verified: DomainChanged = client.post_patiently(&target, &serde_json::json!({}))?;
            output.changed(&verified, &format!("domain {} is verified", verified.domain.name), &verified.warnings)
        }
        DomainCommand::Remove { domain } => {
            let changed: Changed = client.delete(&path::domain(&tenant, &segment(&domain)))?;
            output.changed(&changed, &format!("domain {domain} removed"), &changed.warnings)
        }
    }
}

fn table(output: Output, domains: &[DomainView]) -> String {
    let table = output.table(["DOMAIN", "VERIFIED", "TXT RECORD", "VALUE"]).rows(domains, |domain| {
        [
            domain.name.to_string(),
            domain.verified_unix.map_or_else(|| "no".into(), utc),
            domain.record_name.clone(),
            domain.record_value.clone(),
        ]
    });
    table.render("no domains; add one: postern domain add DOMAIN")
}
