//! Terms of use in a document: what is shown to whoever is asked. Who accepted which version is in none, nor are older versions.

use std::collections::BTreeMap;

use postern_model::admin::{CreateTerms, Problem, UpdateTerms};
use postern_model::config::Tenant;
use postern_model::document::TermsEntry;
use postern_model::ids::{Name, TenantId};

use super::{create, find_in, remove, update};
use crate::control::{Actor, Control};

/// `apply`: the terms shall be exactly so.
pub(crate) fn make(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    named: &BTreeMap<Name, TermsEntry>,
) -> Result<(), Problem> {
    let known = entries(control, tenant.id)?;
    for (name, entry) in named {
        let made = match known.get(name) {
            Some(before) if before == entry => continue,
            Some(_) => {
                let TermsEntry { title, text, format, every_s } = entry.clone();
                let every_s = Some(every_s.unwrap_or(0));
                let request = UpdateTerms { title: Some(title), text: Some((text, format)), every_s, again: false };
                update(control, actor, tenant, name.as_str(), request)
            }
            None => {
                let TermsEntry { title, text, format, every_s } = entry.clone();
                create(control, actor, tenant, CreateTerms { name: name.clone(), title, text, format, every_s })
            }
        };
        made.map_err(|problem| problem.about(format!("terms.{name}")))?;
    }
    Ok(())
}

/// `apply --prune`, once policies do not ask for them any more: removes those that the document does not name, if it names any.
pub(crate) fn prune(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    named: &BTreeMap<Name, TermsEntry>,
) -> Result<(), Problem> {
    if named.is_empty() {
        return Ok(());
    }
    let all = control.directory(|store| store.terms(tenant.id))?;
    let mut unnamed = all.iter().filter(|terms| !named.contains_key(&terms.name));
    unnamed.try_for_each(|terms| remove(control, actor, tenant, terms.name.as_str()).map(drop))
}

/// `export`.
pub(crate) fn entries(control: &Control, tenant: TenantId) -> Result<BTreeMap<Name, TermsEntry>, Problem> {
    let all = control.directory(|store| store.terms(tenant))?;
    let entry = |name: Name| {
        let (terms, newest) = find_in(control, tenant, &name)?;
        let (title, text, format) = (newest.title, newest.text, newest.format);
        Ok((name, TermsEntry { title, text, format, every_s: terms.every_s }))
    };
    all.into_iter().map(|terms| entry(terms.name)).collect()
}
