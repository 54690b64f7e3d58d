//! What connectors know of applications of other groups: where they are, so that links to them are translated. It is part of each
//! group's signed configuration, which is therefore signed anew where any application of the tenant comes, goes or moves.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use postern_model::app_url::InternalUrl;
use postern_model::config::App;
use postern_model::group_config::{GroupConfig, PublishedLink};
use postern_model::ids::{AppId, GroupId, TenantId};
use postern_model::plan::PlannedApp;
use postern_model::settings::{EXTERNAL_ALIASES, INTERNAL_ALIASES, PlaceSettings, SEGMENTS, Segment};
use postern_model::{Change, Snapshot};

use crate::apps::{backend, backends};
use crate::control::{Actor, Audit, Control, Draft, Step};
use crate::identity;
use crate::limits::LINKS_BYTES_MAX;

/// The applications as they will be once steps are committed, of the tenants that these concern.
pub(crate) struct After<'a> {
    by_tenant: BTreeMap<TenantId, BTreeMap<AppId, Cow<'a, App>>>,
    /// Bytes of one group's links.
    room: usize,
}

impl<'a> After<'a> {
    /// Adds to `steps` the groups whose links these change, and remembers what is needed to sign all of them.
    pub(crate) fn of(base: &'a Snapshot, steps: &mut Vec<Step>) -> Self {
        let changes = changed_apps(steps);
        let signed: BTreeSet<GroupId> = steps.iter().filter_map(signed_group).collect();
        let moved = changes
            .iter()
            .filter(|change| base.apps.get(change.0).map(place) != change.1.as_ref().map(place))
            .map(|change| change.0.tenant);
        let moved: BTreeSet<TenantId> = moved.collect();
        let mut after = Self { by_tenant: BTreeMap::new(), room: room(base) };
        for tenant in signed.iter().map(|group| group.tenant).chain(moved.iter().copied()) {
            after.by_tenant.entry(tenant).or_insert_with(|| changed(base, tenant, &changes));
        }
        for tenant in moved {
            let groups: BTreeSet<GroupId> = after.apps(tenant).map(|app| app.group).collect();
            let follows = |group: &GroupId| !signed.contains(group) && follows_links(base, *group);
            for group in groups.into_iter().filter(follows) {
                let apps = after.apps(tenant).filter(|app| app.group == group);
                let apps = apps.map(|app| backend(base, app)).collect();
                steps.push(Step::Sign { group, apps });
            }
        }
        after
    }

    /// What a group's configuration says of applications that are not its own: the first that were published, as long as there
    /// is room.
    pub(crate) fn links(&self, group: GroupId) -> Vec<PublishedLink> {
        links(self.apps(group.tenant), group, self.room)
    }

    fn apps(&self, tenant: TenantId) -> impl Iterator<Item = &App> {
        self.by_tenant.get(&tenant).into_iter().flat_map(|apps| apps.values()).map(|app| &**app)
    }
}

/// Signs anew what a version signed that knew nothing of links, or had room for others.
pub(crate) fn sign_outdated(control: &Control) -> anyhow::Result<()> {
    let snapshot = control.snapshot();
    for group in outdated(&snapshot) {
        let mut draft = Draft::default();
        draft.sign(group, backends(&snapshot, group, None, None));
        draft.audit(Audit {
            action: "connector-group.sign",
            tenant: Some(group.tenant),
            target: format!("connector group {group}"),
            before: None,
            after: Some("with the places of the tenant's other applications".into()),
        });
        control.commit(&Actor::Control, draft)?;
    }
    Ok(())
}

fn outdated(snapshot: &Snapshot) -> Vec<GroupId> {
    let is_outdated = |group: &GroupId| {
        let links = links(own_apps(snapshot, group.tenant), *group, room(snapshot));
        let signed = snapshot.group_configs.get(group);
        let config = signed.and_then(|signed| serde_json::from_str::<GroupConfig>(&signed.body).ok());
        config.is_some_and(|config| !config.apps.is_empty() && config.links != links)
    };
    let groups = snapshot.groups.keys().copied();
    groups.filter(|group| follows_links(snapshot, *group)).filter(is_outdated).collect()
}

/// A name inside that another application of the tenant has, too.
pub(crate) fn shared_alias(snapshot: &Snapshot, planned: &PlannedApp) -> Option<String> {
    let places = |app: &PlannedApp| -> Vec<InternalUrl> {
        let aliases = app.settings.translation.aliases.iter().map(|alias| alias.place(&app.internal));
        std::iter::once(app.internal.clone()).chain(aliases).collect()
    };
    let aliases: Vec<InternalUrl> = places(planned).into_iter().skip(1).collect();
    if aliases.is_empty() {
        return None;
    }
    let others = own_apps(snapshot, planned.tenant).filter(|app| app.id != planned.id);
    others.filter_map(|app| PlannedApp::parse(app).ok()).find_map(|other| {
        let alias = places(&other).into_iter().find(|place| aliases.contains(place))?;
        let (own, other) = (&planned.name, &other.name);
        Some(format!(
            "{own}: {alias} is a place of {other}, too: links there from either are its own, others the older one's"
        ))
    })
}

/// Identity processes are their own backend, and translate nothing.
fn follows_links(snapshot: &Snapshot, group: GroupId) -> bool {
    snapshot.groups.get(&group).is_none_or(|group| !identity::is_reserved(group.name.as_str()))
}

fn room(snapshot: &Snapshot) -> usize {
    LINKS_BYTES_MAX / snapshot.groups.len().max(1)
}

fn links<'a>(apps: impl Iterator<Item = &'a App>, group: GroupId, room: usize) -> Vec<PublishedLink> {
    let mut left = room;
    let others = apps.filter(|app| app.group != group).flat_map(|app| iter::once(link(app)).chain(segments(app)));
    let has_room = |link: &PublishedLink| {
        let urls = link.external_url.len() + link.internal_url.len();
        let bytes = urls + link.aliases.len() + link.names.len() + LINK_BYTES;
        let rest = left.checked_sub(bytes);
        left = rest.unwrap_or(0);
        rest.is_some()
    };
    others.take_while(has_room).collect()
}

fn link(app: &App) -> PublishedLink {
    PublishedLink {
        app: app.id,
        external_url: app.external_url.clone(),
        internal_url: app.internal_url.clone(),
        aliases: app.settings.get(INTERNAL_ALIASES).cloned().unwrap_or_default(),
        names: app.settings.get(EXTERNAL_ALIASES).cloned().unwrap_or_default(),
    }
}

fn segments(app: &App) -> impl Iterator<Item = PublishedLink> {
    let places = PlaceSettings::read(&app.settings).unwrap_or_default();
    let id = app.id;
    places.segments.into_iter().map(move |Segment { external, internal }| PublishedLink {
        app: id,
        external_url: external.to_string(),
        internal_url: internal.to_string(),
        aliases: String::new(),
        names: String::new(),
    })
}

/// What of an application is in the configurations of other groups.
fn place(app: &App) -> (GroupId, &str, &str, [Option<&String>; 3]) {
    let settings = [INTERNAL_ALIASES, EXTERNAL_ALIASES, SEGMENTS].map(|name| app.settings.get(name));
    (app.group, &app.external_url, &app.internal_url, settings)
}

/// The last that steps make of each application that they change.
fn changed_apps(steps: &[Step]) -> BTreeMap<AppId, Option<App>> {
    let mut changes = BTreeMap::new();
    for step in steps {
        match step {
            Step::Change(Change::AppPut(app)) => drop(changes.insert(app.id, Some(app.clone()))),
            Step::Change(Change::AppRemoved { id }) => drop(changes.insert(*id, None)),
            Step::Change(_) | Step::Sign { .. } => {}
        }
    }
    changes
}

fn changed<'a>(
    base: &'a Snapshot,
    tenant: TenantId,
    changes: &BTreeMap<AppId, Option<App>>,
) -> BTreeMap<AppId, Cow<'a, App>> {
    let mut apps: BTreeMap<AppId, Cow<'a, App>> =
        own_apps(base, tenant).map(|app| (app.id, Cow::Borrowed(app))).collect();
    for (id, app) in changes {
        match app {
            Some(app) if id.tenant == tenant => drop(apps.insert(*id, Cow::Owned(app.clone()))),
            Some(_) => {}
            None => drop(apps.remove(id)),
        }
    }
    apps
}

fn signed_group(step: &Step) -> Option<GroupId> {
    match step {
        Step::Sign { group, .. } => Some(*group),
        Step::Change(_) => None,
    }
}

fn own_apps(snapshot: &Snapshot, tenant: TenantId) -> impl Iterator<Item = &App> {
    snapshot.apps.values().filter(move |app| app.id.tenant == tenant)
}

/// What a link takes besides its texts.
const LINK_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use postern_model::config::{Group, Preauth};
    use postern_model::group_config::SignedGroupConfig;
    use postern_model::ids::CertificateId;

    use super::*;

    fn group(seq: u32) -> GroupId {
        GroupId::new(TenantId::DEFAULT, seq)
    }

    fn app(seq: u32, of: u32, internal: &str) -> App {
        App {
            id: AppId::new(TenantId::DEFAULT, seq),
            name: format!("app{seq}").parse().unwrap(),
            group: group(of),
            external_url: format!("https://app{seq}.example.com/"),
            internal_url: internal.into(),
            preauth: Preauth::Passthrough,
            certificate: CertificateId::new(TenantId::DEFAULT, 1),
            settings: BTreeMap::new(),
        }
    }

    /// Groups 1 and 2 with an application each, and an empty one.
    fn snapshot() -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (seq, name) in [(1, "default"), (2, "two"), (3, "empty")] {
            let group = Group { id: group(seq), name: name.parse().unwrap(), directory_sync: false };
            snapshot.groups.insert(group.id, group);
        }
        for app in [app(1, 1, "http://one/"), app(2, 2, "http://two/")] {
            snapshot.apps.insert(app.id, app);
        }
        snapshot
    }

    fn signed(steps: &[Step]) -> Vec<(GroupId, usize)> {
        let signed = steps.iter().filter_map(|step| match step {
            Step::Sign { group, apps } => Some((*group, apps.len())),
            Step::Change(_) => None,
        });
        signed.collect()
    }

    fn names(links: &[PublishedLink]) -> Vec<&str> {
        links.iter().map(|link| link.internal_url.as_str()).collect()
    }

    #[test]
    fn other_groups_are_signed_when_an_application_moves() {
        let snapshot = snapshot();
        let mut moved = app(1, 1, "http://one/");
        moved.settings.insert(INTERNAL_ALIASES.into(), "http://uno".into());
        let mut same = app(1, 1, "http://one/");
        same.settings.insert("connect_timeout_ms".into(), "10".into());
        for (put, expected) in [(moved, 2), (same, 1), (app(3, 1, "http://three/"), 2)] {
            let mut steps = vec![
                Step::Sign { group: group(1), apps: vec![backend(&snapshot, &put)] },
                Step::Change(Change::AppPut(put.clone())),
            ];
            let after = After::of(&snapshot, &mut steps);
            assert_eq!(signed(&steps).len(), expected, "{put:?}");
            assert_eq!(names(&after.links(group(1))), ["http://two/"]);
            let links = after.links(group(2));
            assert_eq!(links.len(), if put.id.seq == 3 { 2 } else { 1 });
            assert_eq!(links[0].aliases.is_empty(), !put.settings.contains_key(INTERNAL_ALIASES));
        }
    }

    #[test]
    fn each_segment_is_a_place_of_its_own_to_other_groups() {
        let mut snapshot = snapshot();
        let mut put = app(1, 1, "http://one/");
        put.settings.insert("external_aliases".into(), "https://uno.example.com".into());
        put.settings.insert("segments".into(), "https://app1.example.com/api/=http://api/".into());
        let mut steps = vec![Step::Change(Change::AppPut(put.clone()))];
        let after = After::of(&snapshot, &mut steps);
        assert_eq!(signed(&steps), [(group(1), 1), (group(2), 1)]);
        let links = after.links(group(2));
        assert_eq!(names(&links), ["http://one/", "http://api/"]);
        assert_eq!((links[0].names.as_str(), links[1].names.as_str()), ("https://uno.example.com", ""));
        assert_eq!((links[1].app, links[1].external_url.as_str()), (put.id, "https://app1.example.com/api/"));
        drop(after);
        snapshot.apps.insert(put.id, put.clone());
        put.settings.remove("segments");
        let mut steps = vec![Step::Change(Change::AppPut(put))];
        After::of(&snapshot, &mut steps);
        assert_eq!(signed(&steps).len(), 2, "a segment that goes is a move, too");
    }

    #[test]
    fn who_leaves_is_known_no_more() {
        let snapshot = snapshot();
        let mut steps = vec![
            Step::Change(Change::AppRemoved { id: AppId::new(TenantId::DEFAULT, 1) }),
            Step::Sign { group: group(1), apps: Vec::new() },
        ];
        let after = After::of(&snapshot, &mut steps);
        assert_eq!(signed(&steps), [(group(1), 0), (group(2), 1)]);
        assert_eq!(names(&after.links(group(2))), [""; 0]);
    }

    #[test]
    fn an_application_that_changes_its_group_is_in_the_others_links() {
        let snapshot = snapshot();
        let put = app(1, 3, "http://one/");
        let mut steps = vec![Step::Change(Change::AppPut(put))];
        let after = After::of(&snapshot, &mut steps);
        assert_eq!(signed(&steps), [(group(2), 1), (group(3), 1)]);
        assert_eq!(names(&after.links(group(1))), ["http://one/", "http://two/"]);
        assert_eq!(names(&after.links(group(3))), ["http://two/"]);
    }

    #[test]
    fn what_does_not_concern_applications_signs_nothing() {
        let snapshot = snapshot();
        let mut steps = vec![Step::Change(Change::AppPut(app(2, 2, "http://two/")))];
        After::of(&snapshot, &mut steps);
        assert!(signed(&steps).is_empty());
    }

    #[test]
    fn what_was_signed_without_links_is_signed_anew() {
        let mut snapshot = snapshot();
        let sign = |snapshot: &mut Snapshot, seq: u32, links: Vec<PublishedLink>| {
            let (tenant, apps) = (TenantId::DEFAULT, backends(snapshot, group(seq), None, None));
            let config = GroupConfig { tenant, group: group(seq), version: 1, apps, links };
            let (body, signature) = (serde_json::to_string(&config).unwrap(), String::new());
            snapshot.group_configs.insert(group(seq), SignedGroupConfig { body, signature });
        };
        for seq in [1, 2, 3] {
            sign(&mut snapshot, seq, Vec::new());
        }
        assert_eq!(outdated(&snapshot), [group(1), group(2)], "the third has no applications");
        sign(&mut snapshot, 1, vec![link(&app(2, 2, "http://two/"))]);
        assert_eq!(outdated(&snapshot), [group(2)]);
    }

    #[test]
    fn a_name_that_two_have_is_told() {
        let snapshot = snapshot();
        let named = |aliases: &str| {
            let mut app = app(1, 1, "http://one/");
            app.settings.insert(INTERNAL_ALIASES.into(), aliases.into());
            shared_alias(&snapshot, &PlannedApp::parse(&app).unwrap())
        };
        assert!(named("http://uno,http://two").unwrap().starts_with("app1: http://two/ is a place of app2, too"));
        assert_eq!(named("http://uno"), None);
    }

    #[test]
    fn links_take_no_more_than_their_room() {
        let apps: Vec<App> = (1..=100).map(|seq| app(seq, 1, "http://one/")).collect();
        let bytes = LINK_BYTES + 25 + "https://app10.example.com/".len();
        let linked = links(apps.iter(), group(2), 10 * bytes);
        assert!((9..=13).contains(&linked.len()), "{}", linked.len());
        assert_eq!(linked[0].app.seq, 1);
        assert!(links(apps.iter(), group(2), 0).is_empty());
    }
}
