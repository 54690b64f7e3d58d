//! Who is in the groups: one group in memory at a time, compared with what control has of it.

use std::collections::BTreeSet;

use postern_model::directory_sync::{
    AskMembers, Digest, KnownMembers, MEMBERS_MAX, Member, Members, PutDone, SyncGroup, path,
};

use crate::entry::{Entry, Range};
use crate::failure::Failure;
use crate::limits::{ENTRIES_MAX, MEMBERS_PAGE};
use crate::map;
use crate::pass::{Pass, Stopped, check_count};
use crate::read::Search;

impl Pass<'_> {
    /// Of the groups that a filter finds.
    pub(crate) async fn members(&mut self, base: &str, filter: String) -> Result<(), Stopped> {
        let settings = self.settings;
        let search = Search {
            base,
            filter,
            attributes: vec![
                settings.id_attribute.as_str(),
                &settings.group_name_attribute,
                &settings.member_attribute,
            ],
            page: MEMBERS_PAGE,
        };
        let (mut cookie, mut read) = (Vec::new(), 0);
        loop {
            let page = self.page(&search, cookie).await?;
            read = u32::try_from(page.entries.len()).unwrap_or(u32::MAX).saturating_add(read);
            check_count(read)?;
            for entry in page.entries {
                // What is wrong with it was said before.
                let group = map::id(settings, &entry).and_then(|id| map::group(settings, id, &entry));
                if let Ok(group) = group {
                    self.group(group, entry).await?;
                }
            }
            cookie = page.cookie;
            if cookie.is_empty() {
                return Ok(());
            }
        }
    }

    async fn group(&mut self, group: SyncGroup, entry: Entry) -> Result<(), Stopped> {
        let members = self.named(entry).await?;
        let in_order: Vec<Member> = members.iter().cloned().collect();
        let digest = map::group_digest(&group, &in_order);
        let known = self.known.as_mut().and_then(|[_, groups]| groups.remove(&group.id));
        if known.as_ref() == Some(&digest) {
            return Ok(());
        }
        if known.is_some() {
            let put = postern_model::directory_sync::Put {
                pass: self.number,
                users: Vec::new(),
                groups: vec![group.clone()],
            };
            let _: PutDone = self.control.ask(path::PUT, &put).await?;
        }
        let present = self.known_members(&group).await?;
        let add: Vec<&Member> = members.difference(&present).collect();
        let remove: Vec<&Member> = present.difference(&members).collect();
        self.tell_members(&group, &add, &remove, digest).await
    }

    /// Who is meant by the names in a group's entry. Names of nobody whom we read are passed over.
    async fn named(&mut self, entry: Entry) -> Result<BTreeSet<Member>, Stopped> {
        let attribute = self.settings.member_attribute.clone();
        let (dn, mut members, mut part, mut begun) = (entry.dn.clone(), BTreeSet::new(), entry, 0);
        loop {
            for value in part.values(&attribute) {
                let name = std::str::from_utf8(value).ok().map(crate::dn::normalised);
                members.extend(name.and_then(|name| self.memory.names.get(&name)).cloned());
            }
            // Active Directory names 1,500 members at a time.
            let Some(next) = continued(&dn, begun, part.range(&attribute))? else { return Ok(members) };
            begun = next;
            match self.reader.entry(&dn, &format!("{attribute};range={next}-*")).await? {
                Some(more) if !more.values(&attribute).is_empty() => part = more,
                Some(_) | None => {
                    let what = format!("{dn}: the directory does not name the members from {next} on");
                    return Err(Failure::read(&what).into());
                }
            }
        }
    }

    async fn known_members(&self, group: &SyncGroup) -> Result<BTreeSet<Member>, Stopped> {
        let (mut all, mut after) = (BTreeSet::new(), None);
        loop {
            let ask = AskMembers { pass: self.number, group: group.id.clone(), after };
            let page: KnownMembers = self.control.ask(path::KNOWN_MEMBERS, &ask).await?;
            after = page.items.last().cloned();
            all.extend(page.items);
            if !page.more || after.is_none() {
                return Ok(all);
            }
        }
    }

    /// In parts; the last one says that it was the last.
    async fn tell_members(
        &self,
        group: &SyncGroup,
        add: &[&Member],
        remove: &[&Member],
        digest: Digest,
    ) -> Result<(), Stopped> {
        // Who leaves goes first, so that nesting can be turned around.
        let changes: Vec<(bool, &Member)> =
            remove.iter().map(|member| (false, *member)).chain(add.iter().map(|member| (true, *member))).collect();
        let parts = changes.len().div_ceil(MEMBERS_MAX).max(1);
        for nth in 0..parts {
            let part = changes.iter().skip(nth * MEMBERS_MAX).take(MEMBERS_MAX);
            let (add, remove): (Vec<_>, Vec<_>) = part.partition(|(joins, _)| *joins);
            let plain = |some: Vec<&(bool, &Member)>| some.into_iter().map(|(_, member)| (*member).clone()).collect();
            let members = Members {
                pass: self.number,
                group: group.id.clone(),
                add: plain(add),
                remove: plain(remove),
                digest: (nth + 1 == parts).then(|| digest.clone()),
            };
            let _: PutDone = self.control.ask(path::MEMBERS, &members).await?;
        }
        Ok(())
    }
}

/// Where the next members begin, behind where these began. Who is not named is not taken out of a group for it: the pass fails.
fn continued(dn: &str, begun: u32, range: Range) -> Result<Option<u32>, Failure> {
    let wrong = match range {
        Range::Whole => return Ok(None),
        Range::Next(next) if next > ENTRIES_MAX => format!("there are more than {ENTRIES_MAX} members"),
        Range::Next(next) if next > begun => return Ok(Some(next)),
        Range::Next(_) | Range::Malformed => "the directory does not say where its next members begin".into(),
    };
    Err(Failure::read(&format!("{dn}: {wrong}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_members_is_whole_or_the_pass_fails() {
        let continued = |begun, range| continued("cn=all", begun, range);
        assert_eq!(continued(1500, Range::Whole), Ok(None));
        assert_eq!(continued(1500, Range::Next(3000)), Ok(Some(3000)));
        for (begun, range, words) in [
            (1500, Range::Next(1500), "cn=all: the directory does not say"),
            (0, Range::Next(0), "does not say"),
            (0, Range::Malformed, "does not say"),
            (1500, Range::Next(ENTRIES_MAX + 1), "more than 200000 members"),
        ] {
            let failure = continued(begun, range).unwrap_err();
            assert!(failure.code == "directory-read-failed" && failure.detail.contains(words), "{failure:?}");
        }
    }
}
