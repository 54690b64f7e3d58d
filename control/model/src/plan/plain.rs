//! Hosts that have something without TLS.

use std::collections::BTreeSet;

use crate::app_url::ExternalUrl;
use crate::settings::PlaceSettings;
use crate::snapshot::Snapshot;

/// Hosts, as [`ExternalUrl::host_pattern`] writes them, where an application is published without TLS: browsers that were told to
/// come by TLS alone would not find it.
pub(super) fn hosts(snapshot: &Snapshot) -> BTreeSet<String> {
    let urls = snapshot.apps.values().map(|app| &app.external_url);
    // Most are not: those are not parsed once more.
    let is_plain = |url: &&String| url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http:"));
    let first = urls.filter(is_plain).filter_map(|url| ExternalUrl::parse(url).ok());
    let further = snapshot.apps.values().filter_map(|app| PlaceSettings::read(&app.settings).ok());
    let further = further.flat_map(|PlaceSettings { aliases, segments }| {
        aliases.into_iter().chain(segments.into_iter().map(|segment| segment.external))
    });
    first.chain(further.filter(|url| !url.tls)).map(|url| url.host_pattern()).collect()
}
