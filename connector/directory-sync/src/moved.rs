//! What changes although its entry does not. Entries below one that gets another name have other names, too. In Active Directory
//! a group has its members by who they are: it does not change when one of them is renamed, or comes from elsewhere.

use std::collections::HashSet;

use ldap3::ldap_escape;
use postern_model::directory_sync::{Member, ObjectId, ObjectKind, SourceSettings};

use crate::dn::normalised;
use crate::entry::Entry;
use crate::limits::{MET_ASKED_MAX, MET_MAX, USERS_PAGE};
use crate::map;
use crate::pass::{Pass, Stopped, changed_since, check_count};
use crate::read::Search;

impl Pass<'_> {
    /// The groups that name those who were met under names that were not known.
    pub(crate) async fn members_met(&mut self, base: &str) -> Result<(), Stopped> {
        let met = std::mem::take(&mut self.met);
        let filters: Vec<String> = if met.len() > MET_MAX {
            vec![self.settings.groups_filter.clone()]
        } else {
            met.chunks(MET_ASKED_MAX).map(|some| naming(self.settings, some)).collect()
        };
        for filter in filters {
            self.members(base, filter).await?;
        }
        Ok(())
    }

    /// Reads all names once more where an entry that has others below it has changed: it may have another name.
    pub(crate) async fn follow_containers(&mut self, since: &str) -> Result<(), Stopped> {
        let settings = self.settings;
        for base in std::iter::once(settings.users_base.as_str()).chain(settings.groups_base.as_deref()) {
            let search = Search {
                base,
                filter: changed_since(CONTAINERS, settings, Some(since)),
                attributes: vec![settings.id_attribute.as_str(), &settings.changed_attribute],
                page: USERS_PAGE,
            };
            let mut cookie = Vec::new();
            loop {
                let page = self.page(&search, cookie).await?;
                page.entries.iter().for_each(|entry| self.mark.note(entry, &settings.changed_attribute));
                if !page.entries.is_empty() {
                    return self.name_anew().await;
                }
                cookie = page.cookie;
                if cookie.is_empty() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Names, and nothing else.
    async fn name_anew(&mut self) -> Result<(), Stopped> {
        let settings = self.settings;
        let users = (settings.users_base.as_str(), &settings.users_filter, ObjectKind::User);
        let groups = settings.groups_base.as_deref();
        let groups = groups.map(|base| (base, &settings.groups_filter, ObjectKind::Group));
        let mut seen = HashSet::new();
        for (base, filter, kind) in std::iter::once(users).chain(groups) {
            let attributes = vec![settings.id_attribute.as_str()];
            let search = Search { base, filter: filter.clone(), attributes, page: USERS_PAGE };
            let (mut cookie, mut read) = (Vec::new(), 0);
            loop {
                let page = self.page(&search, cookie).await?;
                for entry in &page.entries {
                    read += 1;
                    check_count(read)?;
                    self.name(entry, kind, &mut seen);
                }
                cookie = page.cookie;
                if cookie.is_empty() {
                    break;
                }
            }
        }
        self.memory.names.settle();
        Ok(())
    }

    fn name(&mut self, entry: &Entry, kind: ObjectKind, seen: &mut HashSet<ObjectId>) {
        let name = normalised(&entry.dn);
        match map::id(self.settings, entry) {
            Ok(id) if seen.insert(id.clone()) => {
                if self.memory.names.is_of(name, Member { kind, id }) {
                    self.met.push(entry.dn.clone());
                }
            }
            // What is wrong with it a full pass says.
            Ok(_) | Err(_) => self.memory.names.is_nobodys(&name),
        }
    }
}

/// Groups that name one of these.
fn naming(settings: &SourceSettings, names: &[String]) -> String {
    let attribute = &settings.member_attribute;
    let names: String = names.iter().map(|name| format!("({attribute}={})", ldap_escape(name.as_str()))).collect();
    format!("(&{}(|{names}))", settings.groups_filter)
}

/// Of what users and groups are below.
const CONTAINERS: &str =
    "(|(objectClass=organizationalUnit)(objectClass=container)(objectClass=organization)(objectClass=locality))";

#[cfg(test)]
mod tests {
    use super::*;
    use postern_model::directory_sync::SourceKind;

    #[test]
    fn groups_are_asked_for_by_names_as_they_are() {
        let settings = SourceSettings::of(SourceKind::ActiveDirectory);
        let names = ["CN=Berg\\, Anna (HR)*,DC=a".to_owned(), "CN=b".to_owned()];
        let asked = "(&(objectClass=group)(|(member=CN=Berg\\5c, Anna \\28HR\\29\\2a,DC=a)(member=CN=b)))";
        assert_eq!(naming(&settings, &names), asked);
    }
}
