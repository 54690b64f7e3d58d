//! One pass: everything that is there, or what has changed since. Only what differs from what control has is sent, a few hundred
//! users at a time; what was not seen in a full pass is gone.

use std::collections::{HashMap, HashSet};
use std::time::{SystemTime, UNIX_EPOCH};

use postern_model::directory_sync::{
    AskKnown, Digest, GONE_MAX, Known, Member, Nothing, ObjectId, ObjectKind, PUT_MAX, Put, PutDone, Removed,
    SourceKind, SourceSettings, SyncUser, TROUBLES_MAX, Trouble, path,
};

use crate::args::Source;
use crate::control::{Control, Unanswered};
use crate::dn::normalised;
use crate::entry::Entry;
use crate::failure::Failure;
use crate::limits::{EMPTY_PAGES_MAX, ENTRIES_MAX, GROUPS_PAGE, PUT_BYTES_MAX, USERS_PAGE};
use crate::map;
use crate::mark::Mark;
use crate::names::Names;
use crate::read::{Page, Reader, Search};

/// What is known of the directory since a full pass, for looks at what has changed.
pub(crate) struct Memory {
    pub(crate) names: Names,
    /// Where changes are looked for from: [`Mark::next`].
    mark: Option<String>,
    /// The directory that it is of: others count changes otherwise.
    nth: usize,
}

/// Why a pass ends early.
pub(crate) enum Stopped {
    /// Of the directory, or refused by control: control is told.
    Failed(Failure),
    /// Control cannot be asked.
    Unanswered(Unanswered),
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Unanswered> for Stopped {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Refused(failure) => Self::Failed(failure),
            other @ (Unanswered::Status(_) | Unanswered::Unheard(_)) => Self::Unanswered(other),
        }
    }
}

/// A pass under way.
pub(crate) struct Pass<'a> {
    pub(crate) control: &'a Control,
    pub(crate) settings: &'a SourceSettings,
    pub(crate) number: u64,
    pub(crate) reader: Reader,
    pub(crate) memory: Memory,
    /// What control has and was not seen yet, with its digest; in a full pass only.
    pub(crate) known: Option<[HashMap<ObjectId, Digest>; 2]>,
    seen: HashSet<ObjectId>,
    /// Names that were not known, in a look at what has changed: groups that have not changed may have them, too.
    pub(crate) met: Vec<String>,
    pub(crate) mark: Mark,
    empty_pages: u32,
    waiting: Put,
    waiting_bytes: usize,
    pub(crate) report: Report,
}

/// What control is told at the end.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) users: u32,
    pub(crate) groups: u32,
    pub(crate) troubles: Vec<Trouble>,
    pub(crate) troubles_total: u32,
    /// An entry was met that may be any of those that control has: nobody is gone then.
    has_nameless: bool,
}

impl Report {
    /// Nobody can tell who that is.
    fn nameless(&mut self, object: &str, what: &str) {
        self.has_nameless = true;
        self.trouble(object, &format!("{what}: nobody is removed in this pass"));
    }

    pub(crate) fn trouble(&mut self, object: &str, what: &str) {
        self.troubles_total = self.troubles_total.saturating_add(1);
        if self.troubles.len() < TROUBLES_MAX {
            self.troubles.push(Trouble::new(object, what));
        }
    }
}

impl<'a> Pass<'a> {
    /// Opens the directory. Without a memory of it, or with that of another one, everything is read.
    pub(crate) async fn open(
        control: &'a Control,
        settings: &'a SourceSettings,
        source: &Source,
        memory: Option<Memory>,
    ) -> Result<Self, Failure> {
        let mut reader = Reader::open(source).await?;
        let memory = memory.filter(|memory| memory.nth == reader.nth && memory.mark.is_some());
        let is_full = memory.is_none();
        let last = memory.as_ref().and_then(|memory| memory.mark.as_deref());
        let mark = Mark::begin(&mut reader, &settings.changed_attribute, last).await?;
        Ok(Self {
            control,
            settings,
            number: 0,
            memory: memory.unwrap_or_else(|| Memory { names: Names::default(), mark: None, nth: reader.nth }),
            reader,
            known: is_full.then(Default::default),
            seen: HashSet::new(),
            met: Vec::new(),
            mark,
            empty_pages: 0,
            waiting: Put::default(),
            waiting_bytes: 0,
            report: Report::default(),
        })
    }

    pub(crate) fn is_full(&self) -> bool {
        self.known.is_some()
    }

    pub(crate) async fn run(&mut self, number: u64) -> Result<(), Stopped> {
        self.number = number;
        self.waiting.pass = number;
        if self.is_full() {
            self.known = Some([self.ask_known(ObjectKind::User).await?, self.ask_known(ObjectKind::Group).await?]);
        }
        let since = self.memory.mark.take();
        if let Some(since) = &since {
            self.follow_containers(since).await?;
        }
        self.users(since.as_deref()).await?;
        if let Some(base) = self.settings.groups_base.as_deref() {
            self.groups(base, since.as_deref()).await?;
            self.memory.names.settle();
            let filter = changed_since(&self.settings.groups_filter, self.settings, since.as_deref());
            self.members(base, filter).await?;
            self.members_met(base).await?;
        }
        self.memory.names.settle();
        self.memory.mark = self.mark.next();
        self.removed().await
    }

    /// A page, with what is wrong with it.
    pub(crate) async fn page(&mut self, search: &Search<'_>, cookie: Vec<u8>) -> Result<Page, Failure> {
        let page = self.reader.page(search, cookie).await?;
        for _ in 0..page.malformed {
            self.report.nameless("(an entry)", "it is malformed");
        }
        self.empty_pages += u32::from(page.entries.is_empty());
        if self.empty_pages > EMPTY_PAGES_MAX {
            return Err(Failure::read(&format!("there are more than {EMPTY_PAGES_MAX} pages without an entry")));
        }
        Ok(page)
    }

    async fn ask_known(&self, kind: ObjectKind) -> Result<HashMap<ObjectId, Digest>, Stopped> {
        let (mut all, mut after) = (HashMap::new(), None);
        loop {
            let page: Known = self.control.ask(path::KNOWN, &AskKnown { pass: self.number, kind, after }).await?;
            after = page.items.last().map(|item| item.id.clone());
            // Who was gone already is not gone once more, and differs from whatever is read.
            all.extend(page.items.into_iter().filter(|item| !item.gone).map(|item| (item.id, item.digest)));
            if !page.more || after.is_none() {
                return Ok(all);
            }
        }
    }

    async fn users(&mut self, since: Option<&str>) -> Result<(), Stopped> {
        let settings = self.settings;
        let search = Search {
            base: &settings.users_base,
            filter: changed_since(&settings.users_filter, settings, since),
            attributes: map::user_attributes(settings),
            page: USERS_PAGE,
        };
        let mut cookie = Vec::new();
        loop {
            let page = self.page(&search, cookie).await?;
            for entry in &page.entries {
                self.report.users += 1;
                check_count(self.report.users)?;
                self.mark.note(entry, &settings.changed_attribute);
                self.user(entry).await?;
            }
            self.mark.page_ends();
            cookie = page.cookie;
            if cookie.is_empty() {
                return self.flush().await;
            }
        }
    }

    async fn user(&mut self, entry: &Entry) -> Result<(), Stopped> {
        let Some(id) = self.first(entry, ObjectKind::User) else { return Ok(()) };
        let (user, wrong) = map::user(self.settings, id, entry, now_unix());
        if !wrong.is_empty() {
            self.report.trouble(&entry.dn, &wrong.join("; "));
        }
        let known = self.known.as_mut().and_then(|[users, _]| users.remove(&user.id));
        if known.as_ref() == Some(&user.digest) { Ok(()) } else { self.tell(user).await }
    }

    /// Which one it is, if it was not met before in this pass; then the entry is who its name means.
    fn first(&mut self, entry: &Entry, kind: ObjectKind) -> Option<ObjectId> {
        let name = normalised(&entry.dn);
        match map::id(self.settings, entry) {
            Ok(id) if self.seen.insert(id.clone()) => {
                let is_news = self.memory.names.is_of(name, Member { kind, id: id.clone() });
                if is_news && !self.is_full() {
                    self.met.push(entry.dn.clone());
                }
                return Some(id);
            }
            Ok(id) => {
                self.report.trouble(&entry.dn, "another entry has the same id: left out");
                if self.memory.names.get(&name).is_some_and(|member| member.id == id) {
                    return None;
                }
            }
            Err(wrong) => self.report.nameless(&entry.dn, &wrong),
        }
        self.memory.names.is_nobodys(&name);
        None
    }

    async fn tell(&mut self, user: SyncUser) -> Result<(), Stopped> {
        self.waiting_bytes += serde_json::to_vec(&user).map_or(0, |json| json.len());
        self.waiting.users.push(user);
        if self.waiting.users.len() >= PUT_MAX || self.waiting_bytes >= PUT_BYTES_MAX {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Stopped> {
        if self.waiting.users.is_empty() && self.waiting.groups.is_empty() {
            return Ok(());
        }
        let _: PutDone = self.control.ask(path::PUT, &self.waiting).await?;
        self.waiting.users.clear();
        self.waiting.groups.clear();
        self.waiting_bytes = 0;
        Ok(())
    }

    /// Groups by name: all of them are there before any gets members.
    async fn groups(&mut self, base: &str, since: Option<&str>) -> Result<(), Stopped> {
        let settings = self.settings;
        let search = Search {
            base,
            filter: changed_since(&settings.groups_filter, settings, since),
            attributes: vec![
                settings.id_attribute.as_str(),
                &settings.group_name_attribute,
                &settings.changed_attribute,
            ],
            page: GROUPS_PAGE,
        };
        let mut cookie = Vec::new();
        loop {
            let page = self.page(&search, cookie).await?;
            for entry in &page.entries {
                self.report.groups += 1;
                check_count(self.report.groups)?;
                self.mark.note(entry, &settings.changed_attribute);
                let Some(id) = self.first(entry, ObjectKind::Group) else { continue };
                let group = match map::group(settings, id.clone(), entry) {
                    Ok(group) => group,
                    Err(wrong) => {
                        self.report.trouble(&entry.dn, &wrong);
                        // It is there all the same, and stays as it is.
                        if let Some([_, groups]) = &mut self.known {
                            groups.remove(&id);
                        }
                        continue;
                    }
                };
                // Those that are there are told their name with their members.
                if self.known.as_ref().is_none_or(|[_, groups]| !groups.contains_key(&group.id)) {
                    self.waiting.groups.push(group);
                }
                if self.waiting.groups.len() >= PUT_MAX {
                    self.flush().await?;
                }
            }
            cookie = page.cookie;
            if cookie.is_empty() {
                return self.flush().await;
            }
        }
    }

    /// What control has and the directory has not. Only after everything was read.
    async fn removed(&mut self) -> Result<(), Stopped> {
        let Some([users, groups]) = self.known.take() else { return Ok(()) };
        if self.report.has_nameless {
            return Ok(());
        }
        let count = |gone: &HashMap<ObjectId, Digest>| u32::try_from(gone.len()).unwrap_or(u32::MAX);
        let (users_total, groups_total) = (count(&users), count(&groups));
        let users = users.into_keys().map(|id| (ObjectKind::User, id));
        let gone: Vec<(ObjectKind, ObjectId)> =
            users.chain(groups.into_keys().map(|id| (ObjectKind::Group, id))).collect();
        for some in gone.chunks(GONE_MAX) {
            let of = |kind: ObjectKind| {
                some.iter().filter(|(of, _)| *of == kind).map(|(_, id)| id.clone()).collect::<Vec<_>>()
            };
            let (users, groups) = (of(ObjectKind::User), of(ObjectKind::Group));
            let removed = Removed { pass: self.number, users_total, groups_total, users, groups };
            let _: PutDone = self.control.ask(path::REMOVED, &removed).await?;
        }
        Ok(())
    }
}

pub(crate) fn check_count(count: u32) -> Result<(), Failure> {
    if count <= ENTRIES_MAX {
        return Ok(());
    }
    Err(Failure::read(&format!("there are more than {ENTRIES_MAX} entries: narrow the base or the filter")))
}

/// What has changed at or after a mark.
pub(crate) fn changed_since(filter: &str, settings: &SourceSettings, since: Option<&str>) -> String {
    match since {
        // Signs that a filter would take for its own do not occur in a mark.
        Some(mark) => format!("(&{filter}({}>={mark}))", settings.changed_attribute),
        None => filter.to_owned(),
    }
}

pub(crate) fn now_unix() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// How a directory is told apart in the log.
pub(crate) const fn name_of(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::ActiveDirectory => "active-directory",
        SourceKind::Ldap => "ldap",
    }
}

/// Nothing is answered but that it is done.
pub(crate) async fn end(
    control: &Control,
    pass: Option<u64>,
    report: Report,
    failed: Option<&Failure>,
) -> Result<(), Unanswered> {
    let Report { users, groups, troubles, troubles_total, has_nameless: _ } = report;
    let failed = failed.map(|failure| (failure.code.clone(), failure.detail.clone()));
    let end = postern_model::directory_sync::End { pass, users, groups, failed, troubles, troubles_total };
    control.ask(path::END, &end).await.map(|Nothing {}| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_asked_for_from_the_mark_on() {
        let settings = SourceSettings::of(SourceKind::ActiveDirectory);
        assert_eq!(changed_since("(a=b)", &settings, None), "(a=b)");
        assert_eq!(changed_since("(a=b)", &settings, Some("12")), "(&(a=b)(uSNChanged>=12))");
    }

    #[test]
    fn who_cannot_be_told_keeps_everybody_however_many_troubles_there_were() {
        let mut report = Report::default();
        (0..=TROUBLES_MAX).for_each(|_| report.trouble("uid=a", "title: left out"));
        assert!(!report.has_nameless);
        report.nameless("uid=b", "has no entryUUID");
        assert!(report.has_nameless && report.troubles.len() == TROUBLES_MAX);
    }
}
