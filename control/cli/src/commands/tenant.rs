//! `postern tenant …`.

use anyhow::Result;
use postern_model::admin::{Changed, CreateNamed, List, SetAppSuffix, TenantView, path};

use super::Context;
use super::app::read_key;
use crate::args::TenantCommand;
use crate::client::{read_text, segment};
use crate::output::{Output, details};

pub(super) fn run(context: &Context, command: TenantCommand) -> Result<()> {
    let Context { client, output } = context;
    match command {
        TenantCommand::Create { name } => {
            let made: TenantView = client.post(path::TENANTS, &CreateNamed { name })?;
            output.show(&made, |made| format!("tenant {} ({}) made\n", made.name, made.id))
        }
        TenantCommand::List => {
            let list: List<TenantView> = client.get(path::TENANTS)?;
            output.show(&list, |list| table(*output, list))
        }
        TenantCommand::Show { name } => {
            let tenant: TenantView = client.get(&path::tenant(&segment(&name)))?;
            output.show(&tenant, show)
        }
        TenantCommand::Set { name, app_suffix, cert, key } => {
            let path = path::tenant_app_suffix(&segment(&name));
            if app_suffix == "none" {
                let changed: Changed = client.delete(&path)?;
                let line = format!("applications of the tenant {name} are at their own URLs alone");
                return output.changed(&changed, &line, &changed.warnings);
            }
            let asked = SetAppSuffix {
                app_suffix,
                certificate_pem: cert.as_deref().map(read_text).transpose()?,
                key_pem: key.as_deref().map(read_key).transpose()?,
            };
            let changed: Changed = client.put(&path, &asked)?;
            let line = format!("each application of the tenant {name} is at NAME.{}, too", asked.app_suffix);
            output.changed(&changed, &line, &changed.warnings)
        }
        TenantCommand::Delete { name } => {
            let changed: Changed = client.delete(&path::tenant(&segment(&name)))?;
            output.changed(&changed, &format!("tenant {name} deleted"), &changed.warnings)
        }
    }
}

fn table(output: Output, list: &List<TenantView>) -> String {
    let table = output.table(["ID", "NAME", "APPS", "GROUPS", "CONNECTORS"]).rows(&list.items, |tenant| {
        [
            tenant.id.to_string(),
            tenant.name.to_string(),
            tenant.apps.to_string(),
            tenant.groups.to_string(),
            tenant.connectors.to_string(),
        ]
    });
    table.render("no tenants")
}

fn show(tenant: &TenantView) -> String {
    details(&[
        ("id", tenant.id.to_string()),
        ("name", tenant.name.to_string()),
        ("applications", tenant.apps.to_string()),
        ("connector groups", tenant.groups.to_string()),
        ("connectors", tenant.connectors.to_string()),
        ("app suffix", tenant.app_suffix.clone().unwrap_or_default()),
    ])
}
