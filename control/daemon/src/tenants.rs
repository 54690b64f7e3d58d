//! Tenants, connector groups, enrolment tokens, and the list of connectors.

pub(crate) mod app_suffix;

use postern_model::admin::{
    Changed, ConnectorAtRelay, ConnectorView, CreateNamed, CreateToken, GroupView, Problem, TOKEN_TTL_S_DEFAULT,
    TOKEN_TTL_S_MAX, TenantView, TokenIssued,
};
use postern_model::config::{Connector, Group, Tenant};
use postern_model::enrol::{Token, token_key};
use postern_model::ids::{GroupId, Name, TenantId};
use postern_model::secret::SecretText;
use postern_model::{Change, Snapshot};

use crate::acme;
use crate::apps;
use crate::authority::devices::DeviceCa;
use crate::clock::now_unix;
use crate::control::{Actor, Audit, Control, DEFAULT_NAME, Draft, counter};
use crate::directory_sync;
use crate::identity;
use crate::limits::{GROUPS_MAX, TENANTS_MAX, TOKENS_OPEN_MAX};
use crate::problem::{check_no_id, not_found, not_found_among, problem};
use crate::store::{ClientChange, DirectoryChange, ProviderChange, TokenRecord};

/// `tenant create`: a tenant with its first group.
pub(crate) fn create(control: &Control, actor: &Actor, request: CreateNamed) -> Result<TenantView, Problem> {
    check_no_id::<TenantId>("tenant", request.name.as_str())?;
    let mut draft = Draft::default();
    {
        let snapshot = control.snapshot();
        if snapshot.tenants.values().any(|tenant| tenant.name == request.name) {
            return Err(problem("name-taken", format!("a tenant {} exists already", request.name)));
        }
        if snapshot.tenants.len() >= TENANTS_MAX {
            return Err(problem("limit-reached", format!("there are {TENANTS_MAX} tenants already")));
        }
    }
    let tenant = Tenant { id: TenantId(control.next("tenant", &mut draft)?), name: request.name, app_suffix: None };
    let seq = control.next(counter("group", tenant.id), &mut draft)?;
    let name = DEFAULT_NAME.parse().map_err(|_| problem("internal", "the first group has no name"))?;
    let group = Group { id: GroupId::new(tenant.id, seq), name, directory_sync: false };
    draft.audit(audit("tenant.create", tenant.id, format!("tenant {} ({})", tenant.name, tenant.id)));
    draft.change(Change::TenantPut(tenant.clone()));
    draft.change(Change::GroupPut(group.clone()));
    draft.sign(group.id, Vec::new());
    control.commit(actor, draft)?;
    tenant_view(control, &tenant)
}

/// `tenant list`.
pub(crate) fn list(control: &Control) -> Result<Vec<TenantView>, Problem> {
    let tenants: Vec<Tenant> = control.snapshot().tenants.values().cloned().collect();
    tenants.iter().map(|tenant| tenant_view(control, tenant)).collect()
}

/// `tenant show`.
pub(crate) fn show(control: &Control, tenant: &Tenant) -> Result<TenantView, Problem> {
    tenant_view(control, tenant)
}

/// `tenant delete`: only without applications, connectors and users.
pub(crate) fn delete(control: &Control, actor: &Actor, tenant: &Tenant) -> Result<Changed, Problem> {
    let mut draft = Draft::default();
    if tenant.id == TenantId::DEFAULT {
        return Err(problem("still-used", "the tenant default stays: commands without --tenant mean it"));
    }
    let TenantView { apps, connectors, users, .. } = tenant_view(control, tenant)?;
    if apps + connectors + users > 0 {
        let has = format!("{apps} applications, {connectors} connectors and {users} users");
        return Err(problem("still-used", format!("the tenant {} has {has}: remove them first", tenant.name)));
    }
    {
        let snapshot = control.snapshot();
        for group in snapshot.groups.keys().filter(|group| group.tenant == tenant.id) {
            draft.change(Change::GroupRemoved { id: *group });
            draft.remove_tokens(*group);
        }
        for id in snapshot.certificates.keys().filter(|id| id.tenant == tenant.id) {
            draft.change(Change::CertificateRemoved { id: *id });
        }
    }
    draft.change(Change::TenantRemoved { id: tenant.id });
    for provider in control.providers(|store| store.providers(Some(tenant.id)))? {
        draft.provider(ProviderChange::Removed(tenant.id, provider.name));
    }
    draft.provider(ProviderChange::Kerberos(tenant.id, None));
    for client in control.clients(|store| store.clients(tenant.id))? {
        draft.client(ClientChange::Removed(client.id));
    }
    draft.directory(DirectoryChange::GroupsRemoved(tenant.id));
    draft.audit(audit("tenant.delete", tenant.id, format!("tenant {} ({})", tenant.name, tenant.id)));
    let version = control.commit(actor, draft)?;
    acme::tenant_gone(control, tenant.id);
    let kept = DeviceCa::forget(&control.state_dir, tenant.id).err();
    let warnings = kept.map(|error| format!("the key of its authority for devices could not be removed: {error}"));
    Ok(Changed { version, warnings: warnings.into_iter().collect() })
}

/// `connector-group create`.
pub(crate) fn create_group(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    request: CreateNamed,
) -> Result<GroupView, Problem> {
    if identity::is_reserved(request.name.as_str()) {
        return Err(problem("request-invalid", format!("the name {} is kept for the place to sign in", request.name)));
    }
    if directory_sync::is_reserved(request.name.as_str()) {
        let detail = format!("the name {} is kept for sources of users: postern directory-sync add", request.name);
        return Err(problem("request-invalid", detail));
    }
    make_group(control, actor, tenant, request, false)
}

/// As [`create_group`], whatever the name is kept for.
pub(crate) fn make_group(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    request: CreateNamed,
    directory_sync: bool,
) -> Result<GroupView, Problem> {
    let mut draft = Draft::default();
    {
        let snapshot = control.snapshot();
        if find_group(&snapshot, tenant, request.name.as_str()).is_ok() {
            return Err(problem("name-taken", format!("a connector group {} exists already", request.name)));
        }
        check_no_id::<GroupId>("connector group", request.name.as_str())?;
        if snapshot.groups.len() >= GROUPS_MAX {
            return Err(problem("limit-reached", format!("there are {GROUPS_MAX} connector groups already")));
        }
    }
    let seq = control.next(counter("group", tenant.id), &mut draft)?;
    let group = Group { id: GroupId::new(tenant.id, seq), name: request.name, directory_sync };
    draft.audit(audit("connector-group.create", tenant.id, group_target(&group)));
    draft.change(Change::GroupPut(group.clone()));
    draft.sign(group.id, Vec::new());
    control.commit(actor, draft)?;
    show_group(control, tenant, &group.id.to_string())
}

/// `connector-group list`.
pub(crate) fn list_groups(control: &Control, tenant: &Tenant) -> Result<Vec<GroupView>, Problem> {
    let snapshot = control.snapshot();
    let own: Vec<Group> = snapshot.groups.values().filter(|g| g.id.tenant == tenant.id).cloned().collect();
    drop(snapshot);
    own.iter().map(|group| group_view(control, group)).collect()
}

/// `connector-group show`.
pub(crate) fn show_group(control: &Control, tenant: &Tenant, name: &str) -> Result<GroupView, Problem> {
    let group = find_group(&control.snapshot(), tenant, name)?.clone();
    group_view(control, &group)
}

/// `connector-group delete`: only without applications and connectors.
pub(crate) fn delete_group(control: &Control, actor: &Actor, tenant: &Tenant, name: &str) -> Result<Changed, Problem> {
    let mut draft = Draft::default();
    {
        let snapshot = control.snapshot();
        let group = find_group(&snapshot, tenant, name)?;
        directory_sync::check_group(control, group)?;
        let app = snapshot.apps_of(group.id).next().map(|app| format!("application {}", app.name));
        let connector = snapshot.connectors.values().find(|c| c.group == group.id);
        if let Some(user) = app.or(connector.map(|c| format!("connector {}", c.id))) {
            return Err(problem("still-used", format!("the connector group {} still has the {user}", group.name)));
        }
        draft.change(Change::GroupRemoved { id: group.id });
        draft.remove_tokens(group.id);
        draft.audit(audit("connector-group.delete", tenant.id, group_target(group)));
    }
    let version = control.commit(actor, draft)?;
    Ok(Changed { version, warnings: Vec::new() })
}

/// `connector token`: a secret that is shown once; control keeps its hash.
pub(crate) fn create_token(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    group: &str,
    request: CreateToken,
) -> Result<TokenIssued, Problem> {
    let ttl_s = request.ttl_s.unwrap_or(TOKEN_TTL_S_DEFAULT);
    if ttl_s == 0 || ttl_s > TOKEN_TTL_S_MAX {
        return Err(problem("request-invalid", "a token is valid for 1 second to 30 days"));
    }
    let group = find_group(&control.snapshot(), tenant, group)?.clone();
    if control.tokens_open(group.id)? >= TOKENS_OPEN_MAX {
        return Err(problem(
            "limit-reached",
            format!("the group {} has {TOKENS_OPEN_MAX} unused tokens: wait until they expire", group.name),
        ));
    }
    let token = Token {
        id: random_hex(8)?,
        secret: SecretText::new(random_hex(32)?),
        ca_sha256: control.authority.ca_sha256(),
        group: group.id,
        expires_unix: now_unix() + ttl_s,
    };
    let mut draft = Draft::default();
    draft.token(TokenRecord {
        id: token.id.clone(),
        key: token_key(token.secret.expose()),
        group: group.id,
        expires_unix: token.expires_unix,
        used: None,
    });
    let mut entry = audit("connector.token", tenant.id, format!("token {} for {}", token.id, group_target(&group)));
    entry.after = Some(format!("valid for {ttl_s} s"));
    draft.audit(entry);
    control.commit(actor, draft)?;
    let Token { id, expires_unix, .. } = token.clone();
    Ok(TokenIssued { id, token: token.encode(), group: group.name, expires_unix })
}

/// `connector list`.
pub(crate) fn list_connectors(control: &Control, tenant: &Tenant) -> Vec<ConnectorView> {
    let snapshot = control.snapshot();
    let own = snapshot.connectors.values().filter(|c| c.id.tenant == tenant.id);
    own.map(|connector| connector_view(control, &snapshot, connector)).collect()
}

/// `connector show`.
pub(crate) fn show_connector(control: &Control, tenant: &Tenant, name: &str) -> Result<ConnectorView, Problem> {
    let snapshot = control.snapshot();
    Ok(connector_view(control, &snapshot, find_connector(&snapshot, tenant, name)?))
}

/// `connector remove`: its tunnels close, its certificate is not renewed.
pub(crate) fn remove_connector(
    control: &Control,
    actor: &Actor,
    tenant: &Tenant,
    name: &str,
) -> Result<Changed, Problem> {
    let mut draft = Draft::default();
    {
        let snapshot = control.snapshot();
        let connector = find_connector(&snapshot, tenant, name)?;
        draft.change(Change::ConnectorRemoved { id: connector.id });
        let mut entry = audit("connector.remove", tenant.id, format!("connector {}", connector.id));
        entry.before = Some(format!("group={} key={}", connector.group, connector.key_sha256));
        draft.audit(entry);
    }
    let version = control.commit(actor, draft)?;
    Ok(Changed { version, warnings: Vec::new() })
}

/// A tenant by name or id.
pub(crate) fn find(control: &Control, name: &str) -> Result<Tenant, Problem> {
    let snapshot = control.snapshot();
    let by_name = snapshot.tenants.values().find(|tenant| tenant.name.as_str() == name);
    let found = by_name.or_else(|| snapshot.tenants.values().find(|tenant| tenant.id.to_string() == name));
    found.cloned().ok_or_else(|| {
        let known = snapshot.tenants.values().map(|tenant| tenant.name.as_str());
        not_found_among("tenant", name, known)
    })
}

/// A group of a tenant by name or id.
pub(crate) fn find_group<'a>(snapshot: &'a Snapshot, tenant: &Tenant, name: &str) -> Result<&'a Group, Problem> {
    let own = || snapshot.groups.values().filter(|group| group.id.tenant == tenant.id);
    let by_name = own().find(|group| group.name.as_str() == name);
    by_name.or_else(|| own().find(|g| g.id.to_string() == name)).ok_or_else(|| not_found("connector group", name))
}

/// A group's name.
pub(crate) fn group_name(snapshot: &Snapshot, id: GroupId) -> Name {
    let name = snapshot.groups.get(&id).map(|group| group.name.clone());
    // An id is a name too: it stands in where a group has just gone.
    #[expect(clippy::expect_used, reason = "ids are made of letters, digits and one inner dash")]
    name.unwrap_or_else(|| id.to_string().parse().expect("an id is a name"))
}

/// What an audit record says of something without a before or after.
pub(crate) fn audit(action: &'static str, tenant: TenantId, target: String) -> Audit {
    Audit { action, tenant: Some(tenant), target, before: None, after: None }
}

/// Random bytes in hex.
pub(crate) fn random_hex(bytes: usize) -> Result<String, Problem> {
    let mut random = zeroize::Zeroizing::new(vec![0; bytes]);
    aws_lc_rs::rand::fill(&mut random).map_err(|_| problem("internal", "there is no randomness"))?;
    Ok(hex::encode(&*random))
}

/// A connector by id.
pub(crate) fn find_connector<'a>(
    snapshot: &'a Snapshot,
    tenant: &Tenant,
    name: &str,
) -> Result<&'a Connector, Problem> {
    let own = snapshot.connectors.values().find(|c| c.id.tenant == tenant.id && c.id.to_string() == name);
    own.ok_or_else(|| not_found("connector", name))
}

fn tenant_view(control: &Control, tenant: &Tenant) -> Result<TenantView, Problem> {
    let users = control.directory(|store| store.user_count(tenant.id))?;
    let snapshot = control.snapshot();
    let groups = snapshot.groups.keys().filter(|id| id.tenant == tenant.id).count();
    let connectors = snapshot.connectors.keys().filter(|id| id.tenant == tenant.id).count();
    Ok(TenantView {
        id: tenant.id,
        name: tenant.name.clone(),
        apps: as_u32(apps::count(&snapshot, tenant.id)),
        groups: as_u32(groups),
        connectors: as_u32(connectors),
        users,
        app_suffix: tenant.app_suffix.clone(),
    })
}

fn group_view(control: &Control, group: &Group) -> Result<GroupView, Problem> {
    let tokens_open = control.tokens_open(group.id)?;
    let snapshot = control.snapshot();
    let connectors = snapshot.connectors.values().filter(|c| c.group == group.id).count();
    let online = apps::online_by_group(control, &snapshot);
    Ok(GroupView {
        id: group.id,
        name: group.name.clone(),
        apps: snapshot.apps_of(group.id).map(|app| app.name.clone()).collect(),
        connectors: as_u32(connectors),
        connectors_online: online.get(&group.id).copied().unwrap_or(0),
        tokens_open,
    })
}

fn connector_view(control: &Control, snapshot: &Snapshot, connector: &Connector) -> ConnectorView {
    let fleet = control.fleet.borrow();
    let reports: Vec<_> = fleet.connector(connector.id).collect();
    let online = reports.iter().any(|(_, status)| status.online);
    let since = reports.iter().filter(|(_, status)| status.online == online).map(|(_, s)| s.since_unix_ms);
    let relays = reports.iter().filter_map(|(relay, status)| {
        Some(ConnectorAtRelay {
            relay: snapshot.relays.get(relay)?.name.clone(),
            online: status.online,
            tunnels: status.tunnels,
            rtt_us: status.rtt_us,
        })
    });
    ConnectorView {
        id: connector.id,
        group: group_name(snapshot, connector.group),
        online,
        since_unix_ms: since.min().unwrap_or(0),
        software: reports.last().map(|(_, status)| status.software.clone()).unwrap_or_default(),
        enrolled_unix_ms: connector.enrolled_unix_ms,
        key_sha256: connector.key_sha256.clone(),
        relays: relays.collect(),
    }
}

fn group_target(group: &Group) -> String {
    format!("connector-group {} ({})", group.name, group.id)
}

/// Counts are far below 2^32: see `limits`.
pub(crate) fn as_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
