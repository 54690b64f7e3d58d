//! Whom an application that asks keeps out altogether: a word for those who publish it or assign people to it.

use postern_model::Snapshot;
use postern_model::config::{App, Preauth};
use postern_model::directory::{AssignmentKey, Principal};
use postern_model::ids::UserId;

/// What keeps all people out of an application that asks who they are. Machines with a service token pass all the same.
pub(crate) fn people(snapshot: &Snapshot, app: &App, now_unix: u64) -> Vec<String> {
    match app.preauth {
        Preauth::Passthrough => Vec::new(),
        Preauth::Oidc => nowhere_to_sign_in(snapshot, app).into_iter().chain(nobody(snapshot, app, now_unix)).collect(),
    }
}

/// Whoever takes the question away lets everybody in.
pub(crate) fn nobody_any_more(before: &App, app: &App) -> Option<String> {
    let name = &app.name;
    ((before.preauth, app.preauth) == (Preauth::Oidc, Preauth::Passthrough)).then(|| {
        format!(
            "{name}: everybody reaches it now, signed in or not: assignments and policies do not count any more; \
             postern app set {name} --preauth oidc has them count again"
        )
    })
}

/// There is no place to sign in.
pub(crate) fn nowhere_to_sign_in(snapshot: &Snapshot, app: &App) -> Option<String> {
    let is_so = app.preauth == Preauth::Oidc && snapshot.identity.is_none();
    is_so.then(|| {
        format!(
            "{}: people cannot sign in, only service tokens pass: postern identity publish --external https://HOST/",
            app.name
        )
    })
}

fn nobody(snapshot: &Snapshot, app: &App, now_unix: u64) -> Option<String> {
    let key = |principal| AssignmentKey { app: app.id, principal };
    // In the order of principals: users, groups, everyone.
    let first = key(Principal::User(UserId::new(app.id.tenant, 0)));
    let mut own = snapshot.assignments.range(first..=key(Principal::Everyone));
    let is_so = !own.any(|(_, assignment)| assignment.is_current(now_unix));
    is_so.then(|| {
        let name = &app.name;
        format!("{name}: nobody is assigned, only service tokens pass: postern assign {name} --user LOGIN")
    })
}
