//! Which links lead where, for content.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use postern_model::group_config::GroupConfig;
use postern_model::settings::{EXTERNAL_ALIASES, INTERNAL_ALIASES, SEGMENTS, farm_members};

use crate::backend::Backend;
use crate::translate::links::Links;
use crate::translate::{External, Own, outwards};

/// Internal URLs in an application's content as its user sees them.
pub(crate) struct Outwards {
    pub(crate) backend: Arc<Backend>,
    pub(crate) external: External,
    pub(crate) links: Arc<Links>,
}

impl postern_translate::Links for Outwards {
    fn outwards(&self, url: &str) -> Option<String> {
        outwards(url, Own { backend: &self.backend, external: &self.external }, &self.links)
    }
}

/// A number that is another one when links lead somewhere else: what was translated before is not good any more then. The
/// same on every connector of the group.
pub(crate) fn mark(config: &GroupConfig) -> u32 {
    let own = config.apps.iter().map(|app| {
        let aliases = app.settings.get(INTERNAL_ALIASES).map_or("", String::as_str);
        [app.external_url.as_str(), app.internal_url.as_str(), aliases]
    });
    let others = config.links.iter().map(|link| [&*link.external_url, &*link.internal_url, &*link.aliases]);
    let mut text = String::from("2\n");
    for part in own.chain(others).flatten() {
        text.push_str(part);
        text.push('\n');
    }
    // Where there is nothing of it, the number is the same as it was before there could be.
    let further = config.apps.iter().flat_map(|app| [EXTERNAL_ALIASES, SEGMENTS].map(|name| app.settings.get(name)));
    let names = config.links.iter().map(|link| Some(&link.names).filter(|names| !names.is_empty()));
    for (at, part) in further.chain(names).enumerate() {
        if let Some(part) = part {
            text.push_str(&format!("{at} {part}\n"));
        }
    }
    // Members of a farm are places inside as well.
    for app in &config.apps {
        for member in farm_members(&app.settings) {
            text.push_str(&format!("{} {member}\n", app.id));
        }
    }
    let hash = digest(&SHA256, text.as_bytes());
    hash.as_ref().iter().take(4).fold(0, |mark, byte| (mark << 8) | u32::from(*byte))
}
