//! Terms of use: made, changed and removed by operators, accepted by users. A new version that everybody is to accept again
//! ends what was accepted before at once, also for sessions in progress: relays are told as of a change to a group.

use std::collections::BTreeSet;

use postern_model::admin::{
    AcceptanceView, AcceptancesPage, Changed, CreateTerms, Problem, TermsChanged, TermsView, UpdateTerms,
};
use postern_model::config::Tenant;
use postern_model::directory::User;
use postern_model::ids::{Name, TenantId};
use postern_model::policy::{Grant, Policy, Requirement};
use postern_model::terms::{TERMS_EVERY_S_MAX, TERMS_EVERY_S_MIN, TERMS_MAX, TERMS_VERSIONS_MAX};

use crate::authority::sha256_hex;
use crate::clock::now_unix;
use crate::control::{Actor, Audit, Control, Draft};
use crate::limits::ACCEPTANCES_SHOWN_MAX;
use crate::problem::{not_found_among, problem};
use crate::store::{DirectoryChange, StoredTerms, TermsChange, TermsVersion};

pub(crate) mod document;

/// `terms list`.
pub(crate) fn list(control: &Control, tenant: &Tenant) -> Result<Vec<TermsView>, Problem> {
    let all = control.directory(|store| store.terms(tenant.id))?;
    let names = all.into_iter().map(|terms| terms.name);
    names.map(|name| show(control, tenant, name.as_str(), None).map(|view| TermsView { text: None, ..view })).collect()
}

/// `terms show`.
pub(crate) fn show(control: &Control, tenant: &Tenant, name: &str, version: Option<u32>) -> Result<TermsView, Problem> {
    let (terms, newest) = find(control, tenant, name)?;
    let text = match version.filter(|version| *version != newest.version) {
        None => newest,
        Some(version) => {
            let found = control.directory(|store| store.terms_version(tenant.id, &terms.name, Some(version)))?;
            let none = || problem("not-found", format!("the terms {name} have no version {version}"));
            found.ok_or_else(none)?.1
        }
    };
    Ok(view(control, &terms, text))
}

/// `terms create`.
pub(crate) fn create(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    request: CreateTerms,
) -> Result<TermsChanged, Problem> {
    let CreateTerms { name, title, text, format, every_s } = request;
    check_title(title.as_str())?;
    let every_s = every_s.map(checked_every).transpose()?;
    let all = control.directory(|store| store.terms(tenant.id))?;
    if all.iter().any(|terms| terms.name == name) {
        let detail = format!("terms {name} exist already: change them with `postern terms update`");
        return Err(problem("name-taken", detail));
    }
    if all.len() >= TERMS_MAX {
        return Err(problem("limit-reached", format!("the tenant has {TERMS_MAX} terms already")));
    }
    let terms = StoredTerms { tenant: tenant.id, name, version: 1, again_from: 1, every_s };
    let text = TermsVersion { version: 1, title, format, text, made_unix: now_unix() };
    put(control, actor, ("terms.create", None), terms, Some(text))
}

/// `terms update`.
pub(crate) fn update(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    name: &str,
    request: UpdateTerms,
) -> Result<TermsChanged, Problem> {
    let (before, newest) = find(control, tenant, name)?;
    let UpdateTerms { title, text, every_s, again } = request;
    let mut terms = before.clone();
    match every_s {
        None => {}
        Some(0) => terms.every_s = None,
        Some(every_s) => terms.every_s = Some(checked_every(every_s)?),
    }
    let (text, format) = text.unwrap_or((newest.text.clone(), newest.format));
    let mut next =
        TermsVersion { title: title.unwrap_or_else(|| newest.title.clone()), text, format, ..newest.clone() };
    check_title(next.title.as_str())?;
    let is_new = again || next != newest;
    if !is_new && terms == before {
        let mut changed =
            TermsChanged { terms: view(control, &terms, newest), version: version(control), warnings: Vec::new() };
        changed.warnings.push(format!("{name}: nothing changes: it is so already"));
        return Ok(changed);
    }
    if is_new {
        if before.version >= TERMS_VERSIONS_MAX {
            let detail = format!("the terms {name} have {TERMS_VERSIONS_MAX} versions already: make others");
            return Err(problem("limit-reached", detail));
        }
        next.version = before.version + 1;
        next.made_unix = now_unix();
        terms.version = next.version;
        if again {
            terms.again_from = next.version;
        }
    }
    put(control, actor, ("terms.update", Some(summary(&before, &newest))), terms, is_new.then_some(next))
}

/// `terms remove`.
pub(crate) fn remove(control: &Control, actor: &Actor, tenant: &Tenant, name: &str) -> Result<Changed, Problem> {
    let (terms, newest) = find(control, tenant, name)?;
    if let Some(policy) = policies(control, &terms).first() {
        let detail = format!(
            "the terms {name} are asked for by the policy {policy}, which would let nobody in without them: change or delete that first"
        );
        return Err(problem("still-used", detail));
    }
    let mut draft = Draft::default();
    draft.audit(Audit { before: Some(summary(&terms, &newest)), ..audit("terms.remove", &terms) });
    draft.directory(DirectoryChange::Terms(TermsChange::Removed(tenant.id, terms.name)));
    let version = control.commit(actor, draft)?;
    Ok(Changed { version, warnings: Vec::new() })
}

/// `terms acceptances`.
pub(crate) fn acceptances(
    control: &Control,
    tenant: &Tenant,
    name: &str,
    after: u32,
) -> Result<AcceptancesPage, Problem> {
    let (terms, _) = find(control, tenant, name)?;
    let found =
        control.directory(|store| store.acceptances(tenant.id, &terms.name, after, ACCEPTANCES_SHOWN_MAX + 1))?;
    let users: BTreeSet<u32> = found.iter().map(|one| one.user.seq).collect();
    let shown = usize::try_from(ACCEPTANCES_SHOWN_MAX).unwrap_or(usize::MAX);
    let last = users.iter().copied().take(shown).next_back();
    let next = last.filter(|_| users.len() > shown);
    let (now, items) = (now_unix(), found.into_iter().filter(|one| Some(one.user.seq) <= last));
    let items = items.map(|one| AcceptanceView {
        counts: terms.counts(one.version, one.accepted_unix, now),
        user: one.user,
        login: one.login,
        version: one.version,
        accepted_unix: one.accepted_unix,
    });
    Ok(AcceptancesPage { items: items.collect(), next })
}

/// What is kept when a user accepts a version.
pub(crate) fn accepted(user: &User, name: &Name, version: u32) -> Draft {
    let mut draft = Draft::default();
    draft.audit(Audit {
        action: "terms.accept",
        tenant: Some(user.id.tenant),
        target: format!("terms {name}"),
        before: None,
        after: Some(format!("version {version}")),
    });
    draft.directory(DirectoryChange::Terms(TermsChange::Accepted(user.id, name.clone(), version, now_unix())));
    draft
}

/// Terms that a policy asks for and that are not there: nobody passes by it.
pub(crate) fn missing(control: &Control, policy: &Policy) -> Result<Vec<Name>, Problem> {
    let mut asked: Vec<Name> = asked_by(policy).cloned().collect();
    if asked.is_empty() {
        return Ok(asked);
    }
    let known = control.directory(|store| store.terms(policy.id.tenant))?;
    asked.retain(|name| !known.iter().any(|terms| terms.name == *name));
    Ok(asked)
}

/// The terms that a policy asks for.
pub(crate) fn asked_by(policy: &Policy) -> impl Iterator<Item = &Name> {
    let (all, any) = match &policy.grant {
        Grant::Block => (None, None),
        Grant::Require { all, any } => (Some(all), Some(any)),
    };
    let asked: BTreeSet<&Requirement> = all.into_iter().chain(any).flatten().collect();
    asked.into_iter().filter_map(|requirement| match requirement {
        Requirement::Terms(name) => Some(name),
        Requirement::Mfa | Requirement::RegisteredDevice | Requirement::CompliantDevice => None,
    })
}

fn put(
    control: &Control,
    actor: &Actor,
    (action, before): (&'static str, Option<String>),
    terms: StoredTerms,
    new: Option<TermsVersion>,
) -> Result<TermsChanged, Problem> {
    let text = match &new {
        Some(new) => new.clone(),
        None => find_in(control, terms.tenant, &terms.name)?.1,
    };
    let mut draft = Draft::default();
    draft.audit(Audit { before, after: Some(summary(&terms, &text)), ..audit(action, &terms) });
    draft.directory(DirectoryChange::Terms(TermsChange::Put(terms.clone(), new.map(Box::new))));
    let version = control.commit(actor, draft)?;
    Ok(TermsChanged { terms: view(control, &terms, text), version, warnings: Vec::new() })
}

fn find(control: &Control, tenant: &Tenant, name: &str) -> Result<(StoredTerms, TermsVersion), Problem> {
    if let Ok(parsed) = name.parse::<Name>()
        && let Some(found) = control.directory(|store| store.terms_version(tenant.id, &parsed, None))?
    {
        return Ok(found);
    }
    let all = control.directory(|store| store.terms(tenant.id))?;
    Err(not_found_among("terms", name, all.iter().map(|terms| terms.name.as_str()).collect::<Vec<_>>()))
}

fn find_in(control: &Control, tenant: TenantId, name: &Name) -> Result<(StoredTerms, TermsVersion), Problem> {
    let found = control.directory(|store| store.terms_version(tenant, name, None))?;
    found.ok_or_else(|| problem("not-found", format!("there are no terms {name}")))
}

fn checked_every(every_s: u32) -> Result<u32, Problem> {
    if (TERMS_EVERY_S_MIN..=TERMS_EVERY_S_MAX).contains(&every_s) {
        return Ok(every_s);
    }
    let detail = format!("every: terms are asked for again after an hour to ten years, not {every_s} seconds");
    Err(problem("request-invalid", detail).about("every"))
}

fn check_title(title: &str) -> Result<(), Problem> {
    if title.trim().is_empty() {
        return Err(problem("request-invalid", "title: it is what users see above the text, and empty").about("title"));
    }
    Ok(())
}

fn policies(control: &Control, terms: &StoredTerms) -> Vec<Name> {
    let snapshot = control.snapshot();
    let own = snapshot.policies.values().filter(|policy| policy.id.tenant == terms.tenant);
    own.filter(|policy| asked_by(policy).any(|name| *name == terms.name)).map(|policy| policy.name.clone()).collect()
}

fn version(control: &Control) -> u64 {
    control.snapshot().version
}

fn view(control: &Control, terms: &StoredTerms, text: TermsVersion) -> TermsView {
    TermsView {
        name: terms.name.clone(),
        title: text.title,
        version: text.version,
        again_from: terms.again_from,
        every_s: terms.every_s,
        made_unix: text.made_unix,
        policies: policies(control, terms),
        format: text.format,
        text: Some(text.text),
    }
}

fn audit(action: &'static str, terms: &StoredTerms) -> Audit {
    Audit { action, tenant: Some(terms.tenant), target: format!("terms {}", terms.name), before: None, after: None }
}

/// One line: which version, and its text's digest, by which the text can be told from others for as long as the log is kept.
fn summary(terms: &StoredTerms, text: &TermsVersion) -> String {
    let digest = sha256_hex(text.text.as_str().as_bytes());
    let every = terms.every_s.map_or_else(|| "once".to_owned(), |every_s| format!("every {every_s} s"));
    let (version, again) = (text.version, terms.again_from);
    format!("version {version} {:?}, counts from version {again}, {every}, text sha256:{digest}", text.title.as_str())
}
