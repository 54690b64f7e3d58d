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
use crate::limits::{ENTRIES_MAX, GROUPS_PAGE, PUT_BYTES_MAX, USERS_PAGE};
use crate::map;
use crate::read::{Reader, Search};

/// What is known of the directory since a full pass, for looks at what has changed.
pub(crate) struct Memory {
    /// Who is meant by a distinguished name.
    pub(crate) names: HashMap<Box<str>, Member>,
    /// The greatest value of the attribute that grows with changes.
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
            other @ (Unanswered::Unreachable(_) | Unanswered::Status(_) | Unanswered::Malformed(_)) => {
                Self::Unanswered(other)
            }
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
}

impl Report {
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
        let reader = Reader::open(source).await?;
        let memory = memory.filter(|memory| memory.nth == reader.nth && memory.mark.is_some());
        let is_full = memory.is_none();
        Ok(Self {
            control,
            settings,
            number: 0,
            memory: memory.unwrap_or_else(|| Memory { names: HashMap::new(), mark: None, nth: reader.nth }),
            reader,
            known: is_full.then(Default::default),
            seen: HashSet::new(),
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
        // Changes are looked for from where they were before: one that comes meanwhile is met again.
        let since = self.memory.mark.clone();
        self.users(since.as_deref()).await?;
        if let Some(base) = self.settings.groups_base.as_deref() {
            self.groups(base, since.as_deref()).await?;
            self.members(base, since.as_deref()).await?;
        }
        self.removed().await
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
        let search = Search {
            base: &self.settings.users_base,
            filter: changed_since(&self.settings.users_filter, self.settings, since),
            attributes: map::user_attributes(self.settings),
            page: USERS_PAGE,
        };
        let mut cookie = Vec::new();
        loop {
            let page = self.reader.page(&search, cookie).await?;
            self.malformed(page.malformed);
            for entry in &page.entries {
                self.report.users += 1;
                self.check_count(self.report.users)?;
                self.user(entry).await?;
            }
            cookie = page.cookie;
            if cookie.is_empty() {
                return self.flush().await;
            }
        }
    }

    async fn user(&mut self, entry: &Entry) -> Result<(), Stopped> {
        self.note(entry);
        let (user, wrong) = match map::user(self.settings, entry, now_unix()) {
            Ok(mapped) => mapped,
            Err(wrong) => {
                self.report.trouble(&entry.dn, &wrong);
                return Ok(());
            }
        };
        if !wrong.is_empty() {
            self.report.trouble(&entry.dn, &wrong.join("; "));
        }
        if !self.first(&user.id, entry, ObjectKind::User) {
            return Ok(());
        }
        let known = self.known.as_mut().and_then(|[users, _]| users.remove(&user.id));
        if known.as_ref() == Some(&user.digest) { Ok(()) } else { self.tell(user).await }
    }

    /// Whether an id was not met before in this pass; then the entry is who its name means.
    pub(crate) fn first(&mut self, id: &ObjectId, entry: &Entry, kind: ObjectKind) -> bool {
        if !self.seen.insert(id.clone()) {
            self.report.trouble(&entry.dn, "another entry has the same id: left out");
            return false;
        }
        self.memory.names.insert(normalised(&entry.dn), Member { kind, id: id.clone() });
        true
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
            let page = self.reader.page(&search, cookie).await?;
            self.malformed(page.malformed);
            for entry in &page.entries {
                self.report.groups += 1;
                self.check_count(self.report.groups)?;
                self.note(entry);
                let group = match map::group(settings, entry) {
                    Ok(group) => group,
                    Err(wrong) => {
                        self.report.trouble(&entry.dn, &wrong);
                        continue;
                    }
                };
                if !self.first(&group.id, entry, ObjectKind::Group) {
                    continue;
                }
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
        if self.report.troubles_total > 0 && self.has_nameless() {
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

    /// An entry that could not be read at all may be one that control has: nobody is gone then.
    fn has_nameless(&self) -> bool {
        self.report.troubles.iter().any(|trouble| trouble.object.as_str() == NAMELESS)
    }

    fn malformed(&mut self, count: u32) {
        for _ in 0..count {
            self.report.trouble(NAMELESS, "the entry is malformed: nobody is removed in this pass");
        }
    }

    fn check_count(&self, count: u32) -> Result<(), Failure> {
        if count <= ENTRIES_MAX {
            return Ok(());
        }
        Err(Failure::read(&format!("there are more than {ENTRIES_MAX} entries: narrow the base or the filter")))
    }

    /// How far changes are known.
    fn note(&mut self, entry: &Entry) {
        let Some(value) = entry.text(&self.settings.changed_attribute) else { return };
        // Numbers without leading zeros, and times of one form: the longer, then the later in order, is the greater.
        let is_plain = value.len() <= MARK_BYTES_MAX && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
        let greater = |mark: &String| (value.len(), value) > (mark.len(), mark.as_str());
        if is_plain && self.memory.mark.as_ref().is_none_or(greater) {
            self.memory.mark = Some(value.to_owned());
        }
    }
}

/// What has changed at or after a mark.
pub(crate) fn changed_since(filter: &str, settings: &SourceSettings, since: Option<&str>) -> String {
    match since {
        // Signs that a filter would take for its own do not occur: see `note`.
        Some(mark) => format!("(&{filter}({}>={mark}))", settings.changed_attribute),
        None => filter.to_owned(),
    }
}

fn now_unix() -> u64 {
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
    let Report { users, groups, troubles, troubles_total } = report;
    let failed = failed.map(|failure| (failure.code.clone(), failure.detail.clone()));
    let end = postern_model::directory_sync::End { pass, users, groups, failed, troubles, troubles_total };
    control.ask(path::END, &end).await.map(|Nothing {}| ())
}

const NAMELESS: &str = "(an entry)";
const MARK_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_asked_for_from_the_mark_on() {
        let settings = SourceSettings::of(SourceKind::ActiveDirectory);
        assert_eq!(changed_since("(a=b)", &settings, None), "(a=b)");
        assert_eq!(changed_since("(a=b)", &settings, Some("12")), "(&(a=b)(uSNChanged>=12))");
    }
}
