//! What a source's process asks. Its certificate says which source it is; it can do nothing here but tell of that source's users
//! and groups, within a pass.

use postern_model::admin::Problem;
use postern_model::config::Tenant;
use postern_model::directory_sync::{
    Answer, AskKnown, AskMembers, Begin, Config, End, GONE_MAX, KNOWN_MAX, Known, KnownMembers, MEMBERS_MAX, Members,
    Nothing, PUT_MAX, Pass, Put, PutDone, Removed, TROUBLES_MAX, path,
};
use postern_model::ids::{ConnectorId, GroupId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::passes::Running;
use super::{groups, of_group, users};
use crate::clock::now_unix_ms;
use crate::control::{Actor, Control};
use crate::problem::problem;
use crate::store::StoredSource;

/// A process that proved whose it is.
pub(crate) struct Asking {
    pub(super) connector: ConnectorId,
    pub(super) source: StoredSource,
    pub(super) tenant: Tenant,
    pub(super) actor: Actor,
}

/// Which source a connector of this group tells of, if of any.
pub(crate) fn asking(control: &Control, connector: ConnectorId, group: GroupId) -> Option<Asking> {
    let source = of_group(control, group).ok()??;
    let snapshot = control.snapshot();
    let is_marked = snapshot.groups.get(&group).is_some_and(|group| group.directory_sync);
    let tenant = snapshot.tenants.get(&group.tenant).cloned()?;
    let actor = Actor::DirectorySync(source.name.clone());
    is_marked.then_some(Asking { connector, source, tenant, actor })
}

/// Answers one question; `None` is for what is none.
pub(crate) fn answer(control: &Control, asking: &Asking, path: &str, body: &[u8]) -> Option<Vec<u8>> {
    match path {
        path::CONFIG => asking.reply(body, |_: Nothing| Ok(asking.config(control))),
        path::BEGIN => asking.reply(body, |begin: Begin| asking.begin(control, &begin)),
        path::KNOWN => asking.reply(body, |ask: AskKnown| asking.known(control, &ask)),
        path::PUT => asking.reply(body, |put: Put| asking.put(control, put)),
        path::KNOWN_MEMBERS => asking.reply(body, |ask: AskMembers| asking.known_members(control, &ask)),
        path::MEMBERS => asking.reply(body, |members: Members| asking.members(control, members)),
        path::REMOVED => asking.reply(body, |removed: Removed| asking.removed(control, &removed)),
        path::END => asking.reply(body, |end: End| asking.end(control, end)),
        _ => None, // names have no end
    }
}

impl Asking {
    fn reply<Q: DeserializeOwned, A: Serialize>(
        &self,
        body: &[u8],
        done: impl FnOnce(Q) -> Result<A, Problem>,
    ) -> Option<Vec<u8>> {
        let question = match serde_json::from_slice(body) {
            Ok(question) => question,
            Err(error) => {
                tracing::warn!(source = %self.source.name, %error, "a directory source asked something that is not understood");
                return None;
            }
        };
        let answer = match done(question) {
            Ok(done) => Answer::Done(done),
            Err(problem) => Answer::Refused { code: problem.code, detail: problem.detail },
        };
        serde_json::to_vec(&answer).ok()
    }

    fn config(&self, control: &Control) -> Config {
        let sources = control.sources.borrow();
        let state = sources.of(self.source.tenant, &self.source.name);
        Config {
            source: self.source.name.clone(),
            settings: self.source.settings.clone(),
            runs: state.map_or(0, |state| state.runs),
        }
    }

    fn begin(&self, control: &Control, begin: &Begin) -> Result<Pass, Problem> {
        if self.source.settings.disabled {
            return Err(problem("directory-sync-refused", "the source is disabled"));
        }
        let mut sources = control.sources.borrow_mut();
        let state = sources.of_mut(self.source.tenant, &self.source.name);
        let pass = state.begin(self.connector, begin.full, begin.runs, now_unix_ms());
        let pass = pass.ok_or_else(|| problem("directory-sync-busy", "another process has a pass under way"))?;
        Ok(Pass { pass })
    }

    fn known(&self, control: &Control, ask: &AskKnown) -> Result<Known, Problem> {
        self.within(control, ask.pass, |_| ())?;
        let mut items =
            control.sync_rows(|store| store.sync_known(self.whose(), ask.kind, ask.after.as_ref(), KNOWN_MAX + 1))?;
        let more = items.len() > KNOWN_MAX;
        items.truncate(KNOWN_MAX);
        Ok(Known { items, more })
    }

    fn put(&self, control: &Control, put: Put) -> Result<PutDone, Problem> {
        let Put { pass, users, groups } = put;
        bounded("users and groups", users.len() + groups.len(), PUT_MAX)?;
        self.within(control, pass, |_| ())?;
        let write = || {
            let mut told = Told::default();
            users.into_iter().try_for_each(|user| users::put(control, self, user, &mut told))?;
            groups.into_iter().try_for_each(|group| groups::put(control, self, group, &mut told))?;
            Ok(told)
        };
        let (told, _) = control.staged(&self.actor, write, |_, _| true)?;
        self.within(control, pass, |running| told.note(running))
    }

    fn known_members(&self, control: &Control, ask: &AskMembers) -> Result<KnownMembers, Problem> {
        self.within(control, ask.pass, |_| ())?;
        let Some(group) = control.sync_rows(|store| store.sync_group(self.whose(), &ask.group))? else {
            return Ok(KnownMembers { items: Vec::new(), more: false });
        };
        let after = ask.after.as_ref();
        let mut items = control.sync_rows(|store| store.sync_members(self.whose(), group, after, KNOWN_MAX + 1))?;
        let more = items.len() > KNOWN_MAX;
        items.truncate(KNOWN_MAX);
        Ok(KnownMembers { items, more })
    }

    fn members(&self, control: &Control, members: Members) -> Result<PutDone, Problem> {
        bounded("members", members.add.len() + members.remove.len(), MEMBERS_MAX)?;
        let pass = members.pass;
        self.within(control, pass, |_| ())?;
        let write = || {
            let mut told = Told::default();
            groups::members(control, self, members, &mut told)?;
            Ok(told)
        };
        let (told, _) = control.staged(&self.actor, write, |_, _| true)?;
        self.within(control, pass, |running| told.note(running))
    }

    fn removed(&self, control: &Control, removed: &Removed) -> Result<PutDone, Problem> {
        bounded("users and groups", removed.users.len() + removed.groups.len(), GONE_MAX)?;
        self.within(control, removed.pass, |_| ())?;
        let owned = control.sync_rows(|store| store.sync_counts(self.whose()))?;
        let declared = [removed.users_total, removed.groups_total];
        {
            let mut sources = control.sources.borrow_mut();
            let state = sources.of_mut(self.source.tenant, &self.source.name);
            if !state.allow_removals(declared, owned.into(), &self.source.settings) {
                return Err(self.too_many(declared, owned));
            }
        }
        let write = || {
            let mut told = Told::default();
            for user in &removed.users {
                users::gone(control, self, user, &mut told)?;
            }
            for group in &removed.groups {
                groups::gone(control, self, group, &mut told)?;
            }
            Ok(told)
        };
        let (told, _) = control.staged(&self.actor, write, |_, _| true)?;
        self.within(control, removed.pass, |running| told.note(running))
    }

    fn too_many(&self, [users, groups]: [u32; 2], (of_users, of_groups): (u32, u32)) -> Problem {
        let name = &self.source.name;
        let detail = format!(
            "{users} of {of_users} users and {groups} of {of_groups} groups are gone, more than {} %: nobody was removed; if they are gone indeed: postern directory-sync run {name} --confirm-removals {}",
            self.source.settings.max_delete_percent,
            users.saturating_add(groups)
        );
        problem("directory-sync-stopped", detail)
    }

    fn end(&self, control: &Control, end: End) -> Result<Nothing, Problem> {
        let End { pass, users, groups, failed, mut troubles, troubles_total } = end;
        troubles.truncate(TROUBLES_MAX);
        let now_ms = now_unix_ms();
        let failed = failed.map(|(code, detail)| (cut(&code), cut(&detail)));
        if let Some((code, detail)) = &failed {
            tracing::warn!(source = %self.source.name, code, detail, "a directory was not followed");
        }
        let mut sources = control.sources.borrow_mut();
        let state = sources.of_mut(self.source.tenant, &self.source.name);
        let pass = match pass {
            Some(pass) => pass,
            // The directory could not even be asked: a pass all the same, for whoever waits for one.
            None => state.begin(self.connector, true, u64::MAX, now_ms).unwrap_or(0),
        };
        let Some(running) = state.running(self.connector, pass, now_ms) else { return Err(not_yours()) };
        running.troubles(troubles, troubles_total);
        state.end([users, groups], failed, now_ms);
        Ok(Nothing {})
    }

    /// Whose rows are meant.
    pub(super) fn whose(&self) -> (postern_model::ids::TenantId, &postern_model::ids::Name) {
        (self.source.tenant, &self.source.name)
    }

    fn within<T>(&self, control: &Control, pass: u64, look: impl FnOnce(&mut Running) -> T) -> Result<T, Problem> {
        let mut sources = control.sources.borrow_mut();
        let state = sources.of_mut(self.source.tenant, &self.source.name);
        state.running(self.connector, pass, now_unix_ms()).map(look).ok_or_else(not_yours)
    }

    /// One more is removed, if that was allowed.
    pub(super) fn take_removal(&self, control: &Control) -> bool {
        let mut sources = control.sources.borrow_mut();
        sources.of_mut(self.source.tenant, &self.source.name).take_removal()
    }
}

/// What became of what was told, until it is committed.
#[derive(Default)]
pub(super) struct Told {
    pub(super) created: u32,
    pub(super) changed: u32,
    pub(super) removed: u32,
    troubles: Vec<(String, String)>,
}

impl Told {
    pub(super) fn trouble(&mut self, object: impl Into<String>, what: impl Into<String>) {
        self.troubles.push((object.into(), what.into()));
    }

    fn note(self, running: &mut Running) -> PutDone {
        running.created += self.created;
        running.changed += self.changed;
        running.removed += self.removed;
        let refused = u32::try_from(self.troubles.len()).unwrap_or(u32::MAX);
        self.troubles.iter().for_each(|(object, what)| running.trouble(object, what));
        PutDone { created: self.created, changed: self.changed + self.removed, refused }
    }
}

fn not_yours() -> Problem {
    problem(
        "directory-sync-refused",
        "there is no such pass of this process: it was over, or another process began one",
    )
}

fn bounded(what: &str, count: usize, most: usize) -> Result<(), Problem> {
    if count > most {
        return Err(problem("directory-sync-refused", format!("{count} {what} are too many at once: at most {most}")));
    }
    Ok(())
}

/// What comes from the process is shown to people.
fn cut(text: &str) -> String {
    postern_model::directory_sync::Trouble::new("", text).what.to_string()
}
