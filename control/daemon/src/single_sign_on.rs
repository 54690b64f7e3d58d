//! What applications are told of their users, as far as control has a part in it: the keys that relays sign assertions with, and
//! applications that stop asking who it is.

use postern_model::Change;
use postern_model::admin::Problem;
use postern_model::assertion::{ASSERTION_KEYS_MAX, AssertionKey};
use postern_model::config::{App, Preauth};
use postern_model::settings::take_sso;

use crate::clock::now_unix;
use crate::control::{Actor, Control, Draft};
use crate::limits::ASSERTION_KEY_S;
use crate::problem::problem;

/// Makes a key for assertions when there is none, or the newest has served its time. It signs only after it was among the public
/// keys for a while; the one before stays among them until the next one comes.
pub(crate) fn renew_assertion_keys(control: &Control) -> Result<bool, Problem> {
    let now = now_unix();
    let mut keys = control.snapshot().assertion_keys.clone();
    let newest = keys.iter().max_by_key(|key| key.id);
    if newest.is_some_and(|key| now < key.created_unix.saturating_add(ASSERTION_KEY_S)) {
        return Ok(false);
    }
    let id = newest.map_or(1, |key| key.id + 1);
    keys.push(AssertionKey::make(id, now).map_err(|error| problem("internal", error.to_string()))?);
    keys.drain(..keys.len().saturating_sub(ASSERTION_KEYS_MAX));
    let mut draft = Draft::default();
    draft.change(Change::AssertionKeysPut { keys });
    control.commit(&Actor::Control, draft)?;
    Ok(true)
}

/// Where nobody is asked any more who it is, nothing can be told of it: the settings for that go, and it is said which.
pub(crate) fn stop_telling(before: &App, app: &mut App) -> Option<String> {
    if (before.preauth, app.preauth) != (Preauth::Oidc, Preauth::Passthrough) {
        return None;
    }
    let taken = take_sso(&mut app.settings);
    let names =
        if taken.is_empty() { String::new() } else { format!(", and these settings are gone: {}", taken.join(", ")) };
    let name = &app.name;
    Some(format!("{name}: with --preauth passthrough it is not told who its users are{names}"))
}
