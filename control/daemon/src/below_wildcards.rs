//! What is reached below a wildcard inside though it is published as an application of its own: whoever goes that way is under the policies
//! of the wildcard's application. It is told, not refused: it may be meant.

use std::collections::BTreeSet;

use postern_model::Snapshot;
use postern_model::app_url::InternalUrl;
use postern_model::config::App;
use postern_model::ids::TenantId;
use postern_model::plan::{Place, PlannedApp};
use postern_model::settings::SEGMENTS;

/// One for each application with a wildcard that reaches others, where it or one of these `is_about` what was changed.
pub(crate) fn warnings(snapshot: &Snapshot, tenant: TenantId, is_about: impl Fn(&PlannedApp) -> bool) -> Vec<String> {
    let own: Vec<&App> = snapshot.apps.values().filter(|app| app.id.tenant == tenant).collect();
    // Few have any, and then there is nothing to parse.
    if !own.iter().any(|app| may_have_wildcard(app)) {
        return Vec::new();
    }
    let planned: Vec<PlannedApp> = own.into_iter().filter_map(|app| PlannedApp::parse(app).ok()).collect();
    let taken = Taken::of(&planned);
    let of = |wild: &PlannedApp| {
        let is_told = |other: &&PlannedApp| other.id != wild.id && (is_about(wild) || is_about(other));
        let others = planned.iter().filter(is_told).filter(|other| taken.reaches(wild, other));
        told(wild, &others.map(|other| other.name.as_str()).collect::<Vec<_>>())
    };
    let is_wild = |app: &&PlannedApp| app.places.iter().any(|place| place.internal.wildcard().is_some());
    planned.iter().filter(is_wild).filter_map(of).collect()
}

fn may_have_wildcard(app: &App) -> bool {
    let segments = app.settings.get(SEGMENTS).map(String::as_str).unwrap_or_default();
    [app.internal_url.as_str(), segments].iter().any(|urls| urls.contains("//*."))
}

fn told(wild: &PlannedApp, others: &[&str]) -> Option<String> {
    let (first, more) = (others.get(..others.len().min(NAMED_MAX))?, others.len().saturating_sub(NAMED_MAX));
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let name = &wild.name;
    (!others.is_empty()).then(|| {
        format!(
            "{name}: its wildcard inside reaches the backend of {}{more}, too, under the policies of {name}: take a name below which there is nothing else, or publish it at the very host that the wildcard has for it",
            first.join(", ")
        )
    })
}

/// Where users are led elsewhere than to the wildcard, by scheme and host: an exact name goes before one, and a longer one before others.
struct Taken(BTreeSet<(bool, String)>);

impl Taken {
    fn of(planned: &[PlannedApp]) -> Self {
        let places = planned.iter().flat_map(|app| app.places.iter());
        Self(places.map(|place| (place.external.tls, place.external.host_pattern())).collect())
    }

    fn reaches(&self, wild: &PlannedApp, other: &PlannedApp) -> bool {
        let backends = || other.places.iter().map(|place| &place.internal).chain(&other.settings.backends.farm);
        wild.places.iter().any(|place| backends().any(|backend| self.leads_to(place, backend)))
    }

    fn leads_to(&self, place: &Place, backend: &InternalUrl) -> bool {
        let Some(below) = place.internal.wildcard() else { return false };
        let is_same = (place.internal.tls, place.internal.port) == (backend.tls, backend.port)
            && (is_within(&place.internal.path, &backend.path) || is_within(&backend.path, &place.internal.path));
        let Some(labels) = backend.host.strip_suffix(below).and_then(|labels| labels.strip_suffix('.')) else {
            return false;
        };
        // The same wildcard, and not one below it, is asked for by every host of the other.
        let outside = (place.external.tls, format!("{labels}.{}", place.external.host));
        is_same && !labels.is_empty() && (labels == "*" || !self.0.contains(&outside))
    }
}

fn is_within(path: &str, other: &str) -> bool {
    path.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// So many are named.
const NAMED_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use postern_model::config::Preauth;
    use postern_model::ids::{AppId, CertificateId, GroupId};

    use super::*;

    fn snapshot(apps: &[(&str, &str, &str)]) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (seq, (name, external, internal)) in (1..).zip(apps) {
            let app = App {
                id: AppId::new(TenantId::DEFAULT, seq),
                name: name.parse().unwrap(),
                group: GroupId::new(TenantId::DEFAULT, 1),
                external_url: (*external).to_owned(),
                internal_url: (*internal).to_owned(),
                preauth: Preauth::Passthrough,
                certificate: CertificateId::new(TenantId::DEFAULT, 1),
                settings: BTreeMap::new(),
            };
            snapshot.apps.insert(app.id, app);
        }
        snapshot
    }

    const WILD: (&str, &str, &str) = ("all", "https://*.apps.example.com/", "http://*.corp/");

    #[test]
    fn backends_of_others_below_a_wildcard_are_told_of() {
        for (external, internal, is_told) in [
            ("https://hr.example.com/", "http://hr.corp/", true),
            ("https://hr.example.com/", "http://hr.eu.corp/x/", true),
            ("https://*.hr.example.com/", "http://*.hr.corp/", true),
            ("https://hr.apps.example.com/", "http://hr.corp/", false),
            ("https://hr.example.com/", "https://hr.corp/", false),
            ("https://hr.example.com/", "http://hr.corp:8080/", false),
            ("https://hr.example.com/", "http://hr.mycorp/", false),
            ("https://hr.example.com/", "http://corp/", false),
        ] {
            let snapshot = snapshot(&[WILD, ("hr", external, internal)]);
            for about in ["all", "hr"] {
                let told = warnings(&snapshot, TenantId::DEFAULT, |app| app.name.as_str() == about);
                assert_eq!(told.len(), usize::from(is_told), "{about}, {internal}: {told:?}");
                assert!(told.iter().all(|told| told.starts_with("all: ") && told.contains("of hr, too")), "{told:?}");
            }
            assert!(warnings(&snapshot, TenantId::DEFAULT, |_| false).is_empty());
        }
    }

    #[test]
    fn segments_and_farms_are_looked_at() {
        let mut snapshot = snapshot(&[
            ("all", "https://all.example.com/", "http://10.0.0.5/"),
            ("hr", "https://hr.example.com/", "http://10.0.0.6/"),
        ]);
        let mut apps = snapshot.apps.values_mut();
        let segments = "https://*.apps.example.com/=http://*.corp/".to_owned();
        apps.next().unwrap().settings.insert(SEGMENTS.into(), segments);
        apps.next().unwrap().settings.insert("backend_farm".into(), "http://hr2.corp".into());
        assert_eq!(warnings(&snapshot, TenantId::DEFAULT, |_| true).len(), 1);
        assert!(warnings(&snapshot, "t2".parse().unwrap(), |_| true).is_empty(), "of another tenant");
    }
}
