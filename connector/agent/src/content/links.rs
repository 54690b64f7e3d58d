//! Which links lead where, for content.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use postern_model::group_config::GroupConfig;
use postern_translate::Links;

use crate::backend::Backend;
use crate::translate::External;

/// Internal URLs in an application's content as its user sees them.
pub(crate) struct Outwards {
    pub(crate) backend: Arc<Backend>,
    pub(crate) external: External,
}

impl Links for Outwards {
    fn outwards(&self, url: &str) -> Option<String> {
        self.external.outwards(url, &self.backend)
    }
}

/// A number that is another one when links lead somewhere else: what was translated before is not good any more then. The
/// same on every connector of the group.
pub(crate) fn mark(config: &GroupConfig) -> u32 {
    let mut text = String::from("1\n");
    for app in &config.apps {
        for part in [&app.external_url, &app.internal_url] {
            text.push_str(part);
            text.push('\n');
        }
    }
    let hash = digest(&SHA256, text.as_bytes());
    hash.as_ref().iter().take(4).fold(0, |mark, byte| (mark << 8) | u32::from(*byte))
}
