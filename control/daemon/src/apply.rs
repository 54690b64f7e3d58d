//! Configuration as code: a document is made so by the same operations that the other commands use, as one change.

use std::collections::{BTreeMap, BTreeSet};

use postern_model::Snapshot;
use postern_model::admin::{AddCertificate, CreateNamed, Problem, RelayView};
use postern_model::config::{App, CertificateOrigin, Tenant};
use postern_model::directory::UserGroup;
use postern_model::document::{
    AppEntry, Applied, Apply, CertificateEntry, ChangeView, DOCUMENT_USERS_MAX, Document, LimitEntry, RelayEntry,
};
use postern_model::ids::{CertificateId, Name};
use postern_model::limit::{Limit, LimitKey, LimitScope};

use crate::clock::now_unix;
use crate::control::{Actor, Control, DEFAULT_NAME};
use crate::directory::Groups;
use crate::pem::{all_sha256, leaf_sha256};
use crate::problem::problem;
use crate::store::AuditEntry;
use crate::{
    apps, assignments, certificates, devices, idps, kept_out, kerberos, networks, oauth, policies, relays,
    service_tokens, tenants, terms, throttle, user_groups, users, vault,
};

/// `apply` and `diff`: all of the document or nothing.
pub(crate) fn apply(control: &Control, actor: &Actor, tenant: &str, request: Apply) -> Result<Applied, Problem> {
    let Apply { document, prune, create_tenant, dry_run, force } = request;
    let mut changes = Vec::new();
    let mut gone: Vec<RelayView> = Vec::new();
    if document.users.len() > DOCUMENT_USERS_MAX {
        let detail = format!("a document has at most {DOCUMENT_USERS_MAX} users: apply more than one, without --prune");
        return Err(problem("limit-reached", detail));
    }
    let run = Run { control, actor };
    let filled = service_tokens::filled(&control.snapshot());
    let naming = policies::naming(&control.snapshot());
    let entered = vault::own::entered(&control.snapshot());
    let (mut warnings, version) = control.staged(
        actor,
        || {
            let tenant = run.tenant(tenant, create_tenant)?;
            if prune {
                gone = run.prune(&tenant, &document)?;
            }
            let signing_in = run.make(&tenant, &document)?;
            let clients = oauth::document::make(control, actor, &tenant, &document.clients, prune)?;
            devices::document::make(control, actor, &tenant, &document, prune)?;
            run.make_policies(&tenant, &document, force)?;
            if prune {
                networks::document::prune(control, actor, &tenant, &document)?;
                terms::document::prune(control, actor, &tenant, &document.terms)?;
                run.prune_certificates(&tenant, &document)?;
            }
            idps::check_conflicts(control, &tenant)?;
            let snapshot = control.snapshot();
            apps::check_conflicts(&snapshot, &tenant)?;
            let mut warnings = warnings(&snapshot, &tenant, &document);
            warnings.extend(clients.into_iter().chain(signing_in));
            let assigned = assignments::warnings(&snapshot, tenant.id, &document.assignments);
            // The application's own may say the same.
            warnings.extend(assigned.into_iter().filter(|said| !warnings.contains(said)).collect::<Vec<_>>());
            warnings.extend(service_tokens::emptied(&filled, &snapshot));
            warnings.extend(policies::narrowed(&naming, &snapshot));
            warnings.extend(vault::own::all_left_behind(&entered, &snapshot));
            Ok(warnings)
        },
        |_, audit| {
            changes = audit.iter().map(view).collect();
            !dry_run && !audit.is_empty()
        },
    )?;
    warnings.extend(gone.iter().map(|relay| relays::goes_on(&relay.name, relay.connected)));
    if !dry_run {
        for relay in gone {
            control.fleet.borrow_mut().removed(relay.id, "this relay was removed by `postern apply --prune`");
        }
    }
    Ok(Applied { changes, dry_run, version, warnings })
}

/// `export`: a document that `apply` would find nothing to change by. Without `users` it names no user anywhere, and leaves
/// who is in groups as it is.
pub(crate) fn export(control: &Control, tenant: &Tenant, users: bool) -> Result<Document, Problem> {
    let groups = Groups::of(control, tenant.id)?;
    let group = |group: &UserGroup| -> Result<_, Problem> {
        Ok((group.name.clone(), user_groups::entry(control, &groups, group, users)?))
    };
    Ok(Document {
        users: if users { users::entries(control, tenant.id)? } else { BTreeMap::new() },
        user_groups: groups.all.values().map(group).collect::<Result<_, Problem>>()?,
        providers: idps::entries(control, tenant.id)?,
        clients: oauth::document::entries(control, tenant.id)?,
        kerberos: kerberos::entry(control, tenant.id)?,
        terms: terms::document::entries(control, tenant.id)?,
        assignments: assignments::entries(control, tenant, users)?,
        policies: policies::entries(control, tenant.id, users),
        device_authorities: devices::document::entries(control, tenant.id),
        device_enrolment: devices::document::enrolment(control, tenant.id)?,
        ..published(control, tenant)
    })
}

/// What of a document relays serve.
fn published(control: &Control, tenant: &Tenant) -> Document {
    let snapshot = control.snapshot();
    let id = tenant.id;
    let fingerprint = |relay| control.pin(relay).map(|pin| pin.key_sha256);
    let relays = snapshot.relays.values().filter_map(|relay| {
        let address = relay.address.clone()?;
        Some((relay.name.clone(), RelayEntry { address, fingerprint: fingerprint(relay.id) }))
    });
    let given = snapshot.certificates.values();
    let given = given.filter(|c| c.id.tenant == id && c.origin == CertificateOrigin::Given);
    let limits = snapshot.limits.iter().filter(|(key, _)| key.tenant == id);
    Document {
        connector_groups: snapshot
            .groups
            .values()
            .filter(|g| g.id.tenant == id && !g.directory_sync)
            .map(|g| g.name.clone())
            .collect(),
        relays: relays.collect(),
        certificates: given
            .map(|c| CertificateEntry {
                sha256: Some(leaf_sha256(&c.chain_pem)),
                hosts: c.hosts.clone(),
                certificate_pem: None,
                key_pem: None,
            })
            .collect(),
        apps: snapshot.apps.values().filter(|a| a.id.tenant == id).map(|app| entry(&snapshot, app)).collect(),
        limits: limits.map(|(key, limit)| (key.scope.name(&snapshot), LimitEntry::from(limit))).collect(),
        networks: networks::document::entries(&snapshot, id, false),
        anonymisers: networks::document::entries(&snapshot, id, true),
        ..Document::default()
    }
}

fn entry(snapshot: &Snapshot, app: &App) -> (Name, AppEntry) {
    let entry = AppEntry {
        external_url: app.external_url.clone(),
        internal_url: app.internal_url.clone(),
        preauth: app.preauth,
        group: Some(tenants::group_name(snapshot, app.group)),
        certificate_pem: None,
        key_pem: None,
        settings: app.settings.clone(),
    };
    (app.name.clone(), entry)
}

#[derive(Clone, Copy)]
struct Run<'a> {
    control: &'a Control,
    actor: &'a Actor,
}

impl Run<'_> {
    fn tenant(self, name: &str, create: bool) -> Result<Tenant, Problem> {
        let Self { control, actor } = self;
        let missing = match tenants::find(control, name) {
            Ok(tenant) => return Ok(tenant),
            Err(missing) => missing.about("tenant"),
        };
        let Ok(new) = name.parse::<Name>() else { return Err(missing) };
        if !create {
            let stop = if missing.detail.ends_with('?') { "" } else { ";" };
            let detail = format!("{}{stop} --create-tenant makes a new one", missing.detail);
            return Err(Problem { detail, ..missing });
        }
        tenants::create(control, actor, CreateNamed { name: new }).map_err(|_| missing.clone())?;
        tenants::find(control, name)
    }

    /// What others stand on comes first. Gives what an operator should know.
    fn make(self, tenant: &Tenant, document: &Document) -> Result<Vec<String>, Problem> {
        let Self { control, actor } = self;
        for name in &document.connector_groups {
            self.group(tenant, name).map_err(|problem| problem.about(format!("connector-group.{name}")))?;
        }
        for (name, relay) in &document.relays {
            relays::put(control, actor, name, relay).map_err(|problem| problem.about(format!("relay.{name}")))?;
        }
        networks::document::make(control, actor, tenant, document)?;
        let kerberos = document.kerberos.as_ref().map(|settings| kerberos::put_entry(control, actor, tenant, settings));
        let warnings = kerberos.transpose()?.unwrap_or_default();
        terms::document::make(control, actor, tenant, &document.terms)?;
        for (nth, certificate) in document.certificates.iter().enumerate() {
            self.certificate(tenant, certificate).map_err(|problem| problem.about(format!("certificate.{nth}")))?;
        }
        for (name, app) in &document.apps {
            let put = apps::put(control, actor, tenant, name, app.clone());
            put.map_err(|problem| problem.about(format!("app.{name}")))?;
        }
        let mut set = BTreeMap::new();
        for (scope, limit) in &document.limits {
            let made = self.limit(tenant, scope, limit, &mut set);
            made.map_err(|problem| problem.about(format!("throttle.{scope}")))?;
        }
        self.make_directory(tenant, document)?;
        Ok(warnings)
    }

    /// Users, then their groups, then who is assigned. Groups let go of members before any gets new ones.
    fn make_directory(self, tenant: &Tenant, document: &Document) -> Result<(), Problem> {
        let Self { control, actor } = self;
        for (login, entry) in &document.users {
            let put = users::put_entry(control, actor, tenant, login, entry.clone());
            put.map_err(|problem| problem.about(format!("user.{login}")))?;
        }
        for step in [user_groups::leave_others, user_groups::put_entry, user_groups::exact_members] {
            for (name, entry) in &document.user_groups {
                step(control, actor, tenant, name, entry).map_err(|problem| problem.about(format!("group.{name}")))?;
            }
        }
        for (name, entry) in &document.providers {
            let put = idps::put_entry(control, actor, tenant, name, entry.clone());
            put.map_err(|problem| problem.about(format!("idp.{name}")))?;
        }
        let mut seen = BTreeSet::new();
        for (nth, entry) in document.assignments.iter().enumerate() {
            let put = assignments::put_entry(control, actor, tenant, entry, &mut seen);
            put.map_err(|problem| problem.about(format!("assignment.{nth}")))?;
        }
        Ok(())
    }

    /// Policies name all the others.
    fn make_policies(self, tenant: &Tenant, document: &Document, force: bool) -> Result<(), Problem> {
        let Self { control, actor } = self;
        for (name, entry) in &document.policies {
            let put = policies::put_entry(control, actor, tenant, name, entry, force);
            put.map_err(|problem| problem.about(format!("policy.{name}")))?;
        }
        Ok(())
    }

    fn group(self, tenant: &Tenant, name: &Name) -> Result<(), Problem> {
        let Self { control, actor } = self;
        if tenants::find_group(&control.snapshot(), tenant, name.as_str()).is_ok() {
            return Ok(());
        }
        tenants::create_group(control, actor, tenant, CreateNamed { name: name.clone() }).map(drop)
    }

    fn certificate(self, tenant: &Tenant, entry: &CertificateEntry) -> Result<(), Problem> {
        let CertificateEntry { sha256, hosts: _, certificate_pem, key_pem } = entry.clone();
        match (certificate_pem, key_pem, sha256) {
            (Some(certificate_pem), Some(key_pem), _) => {
                let request = AddCertificate { certificate_pem, key_pem, ocsp: None };
                certificates::add(self.control, self.actor, tenant, &request).map(drop)
            }
            (None, None, Some(sha256)) => {
                let snapshot = self.control.snapshot();
                let mut own = snapshot.certificates.values().filter(|c| c.id.tenant == tenant.id);
                if own.any(|c| leaf_sha256(&c.chain_pem).eq_ignore_ascii_case(&sha256)) {
                    return Ok(());
                }
                let detail =
                    format!("there is no certificate with the SHA-256 {sha256}: give its files with cert and key");
                Err(problem("not-found", detail).about("sha256"))
            }
            (Some(_), None, _) | (None, Some(_), _) | (None, None, None) => {
                Err(problem("request-invalid", "a certificate needs cert and key, or the sha256 of one that is there"))
            }
        }
    }

    /// `set` holds what the document has set so far, under the name it uses: one limit must not have two.
    fn limit<'d>(
        self,
        tenant: &Tenant,
        name: &'d str,
        entry: &LimitEntry,
        set: &mut BTreeMap<LimitScope, &'d str>,
    ) -> Result<(), Problem> {
        let scope = throttle::parse_scope(&self.control.snapshot(), tenant, name)?;
        if let Some(other) = set.insert(scope.clone(), name) {
            return Err(problem("limit-invalid", format!("{name} and {other} are the same limit: keep one of them")));
        }
        let key = LimitKey { tenant: tenant.id, scope };
        let before = self.control.snapshot().limits.get(&key).cloned();
        let limit = entry.limit(key.tenant, key.scope);
        throttle::put(self.control, self.actor, before.as_ref(), &limit).map(drop)
    }

    /// Removes what the document does not name: applications first, for they hold groups, certificates and places. Gives
    /// the relays that go.
    fn prune(self, tenant: &Tenant, document: &Document) -> Result<Vec<RelayView>, Problem> {
        let Self { control, actor } = self;
        if !document.policies.is_empty() {
            policies::prune(control, actor, tenant, &document.policies)?;
        }
        if !document.providers.is_empty() {
            idps::prune(control, actor, tenant, &document.providers)?;
        }
        oauth::document::prune(control, actor, tenant, &document.clients)?;
        assignments::prune(control, actor, tenant, &document.assignments)?;
        user_groups::prune(control, actor, tenant, &document.user_groups)?;
        if !document.users.is_empty() {
            users::prune(control, actor, tenant, &document.users)?;
        }
        let now = published(control, tenant);
        for name in now.apps.keys().filter(|name| !document.apps.contains_key(*name)) {
            apps::unpublish(control, actor, tenant, name.as_str())?;
        }
        self.prune_limits(tenant, document)?;
        let kept = |name: &Name| {
            let used = document.apps.values().any(|app| app.group.as_ref() == Some(name));
            document.connector_groups.contains(name) || used || name.as_str() == DEFAULT_NAME
        };
        for name in now.connector_groups.iter().filter(|name| !kept(name)) {
            self.prune_group(tenant, document, name)?;
        }
        let relays =
            now.relays.keys().filter(|name| !document.relays.is_empty() && !document.relays.contains_key(*name));
        relays.map(|name| relays::remove_staged(control, actor, name.as_str())).collect()
    }

    fn prune_limits(self, tenant: &Tenant, document: &Document) -> Result<(), Problem> {
        let own: Vec<Limit> = {
            let snapshot = self.control.snapshot();
            // A scope that cannot be read names no limit that is there; it is refused when it is to be made.
            let scopes = document.limits.keys().filter_map(|name| throttle::parse_scope(&snapshot, tenant, name).ok());
            let named: BTreeSet<LimitScope> = scopes.collect();
            let own = snapshot.limits.values().filter(|limit| limit.tenant == tenant.id);
            own.filter(|limit| !named.contains(&limit.scope)).cloned().collect()
        };
        for limit in own {
            let empty = Limit::new(limit.tenant, limit.scope.clone());
            throttle::put(self.control, self.actor, Some(&limit), &empty)?;
        }
        Ok(())
    }

    /// A group's applications may be about to move: they move first then.
    fn prune_group(self, tenant: &Tenant, document: &Document, name: &Name) -> Result<(), Problem> {
        let Self { control, actor } = self;
        let moving: Vec<Name> = {
            let snapshot = control.snapshot();
            let group = tenants::find_group(&snapshot, tenant, name.as_str())?;
            snapshot.apps_of(group.id).map(|app| app.name.clone()).collect()
        };
        if !moving.is_empty() {
            for group in &document.connector_groups {
                self.group(tenant, group)?;
            }
        }
        for app in moving {
            if let Some(entry) = document.apps.get(&app) {
                apps::put(control, actor, tenant, &app, entry.clone())?;
            }
        }
        tenants::delete_group(control, actor, tenant, name.as_str()).map(drop)
    }

    /// Given certificates that the document does not name and no application shows any more, nor the device host alone has.
    fn prune_certificates(self, tenant: &Tenant, document: &Document) -> Result<(), Problem> {
        let chains = document.certificates.iter().filter_map(|entry| entry.certificate_pem.as_deref());
        let chains = chains.chain(document.apps.values().filter_map(|app| app.certificate_pem.as_deref()));
        let given: Vec<String> = chains.flat_map(all_sha256).collect();
        let hashes = document.certificates.iter().filter_map(|entry| entry.sha256.as_ref());
        let named: Vec<String> = hashes.map(|hash| hash.to_lowercase()).chain(given).collect();
        let unnamed: Vec<CertificateId> = {
            let snapshot = self.control.snapshot();
            let own = snapshot.certificates.values().filter(|c| c.id.tenant == tenant.id);
            let own = own.filter(|c| c.origin == CertificateOrigin::Given);
            let unused = own.filter(|c| !snapshot.apps.values().any(|app| app.certificate == c.id));
            unused.filter(|c| !named.contains(&leaf_sha256(&c.chain_pem))).map(|c| c.id).collect()
        };
        for id in unnamed {
            // One after the other: of two that are good for it, one stays.
            let is_kept = certificates::is_kept(&self.control.snapshot(), id, None);
            if !is_kept {
                certificates::remove(self.control, self.actor, tenant, &id.to_string())?;
            }
        }
        Ok(())
    }
}

/// What an operator should know about the applications of the document.
fn warnings(snapshot: &Snapshot, tenant: &Tenant, document: &Document) -> Vec<String> {
    let own = snapshot.apps.values().filter(|app| app.id.tenant == tenant.id && document.apps.contains_key(&app.name));
    let now = now_unix();
    own.filter_map(|app| Some((app, postern_model::plan::PlannedApp::parse(app).ok()?)))
        .flat_map(|(app, planned)| {
            let people = kept_out::people(snapshot, app, now).into_iter().chain(planned.warnings());
            people.chain(vault::unusable(snapshot, app)).chain(vault::own::keyless(snapshot, app))
        })
        .chain(crate::below_wildcards::warnings(snapshot, tenant.id, |app| document.apps.contains_key(&app.name)))
        .collect()
}

fn view(entry: &AuditEntry) -> ChangeView {
    let AuditEntry { action, target, before, after, .. } = entry.clone();
    ChangeView { action: action.to_owned(), target, before, after }
}
