//! Keys that all relays have: cookies are sealed and assertions signed with them.

use postern_model::admin::Problem;
use postern_model::assertion::AssertionKey;
use postern_model::session::CookieKey;
use postern_model::{Change, Snapshot};

use crate::clock::now_unix;
use crate::problem::problem;

/// New ones in place of all that there are: with those that somebody else may have nothing can be made any more. Browsers come by
/// the place to sign in once more, which knows them by a cookie of its own.
pub(crate) fn replaced(snapshot: &Snapshot) -> Result<[Change; 2], Problem> {
    let now = now_unix();
    let failed = |error: &dyn std::error::Error| problem("internal", error.to_string());
    let newest = snapshot.cookie_keys.iter().map(|key| key.id).max().unwrap_or(0);
    let cookies = CookieKey::make(newest + 1, now).map_err(|error| failed(&error))?;
    let newest = snapshot.assertion_keys.iter().map(|key| key.id).max().unwrap_or(0);
    let assertions = AssertionKey::make(newest + 1, now).map_err(|error| failed(&error))?;
    Ok([Change::CookieKeysPut { keys: vec![cookies] }, Change::AssertionKeysPut { keys: vec![assertions] }])
}
