//! Who is meant by a distinguished name: groups name their members by them.

use std::collections::{BTreeMap, HashMap};

use postern_model::directory_sync::Member;

/// The names of entries, as they were read last.
#[derive(Debug, Default)]
pub(crate) struct Names {
    all: HashMap<Box<str>, Member>,
    /// New names of entries that were read since; the first time, all are.
    renamed: Option<BTreeMap<Member, Box<str>>>,
}

impl Names {
    pub(crate) fn get(&self, name: &str) -> Option<&Member> {
        self.all.get(name)
    }

    /// An entry has this name now: whether that is news. If it had another one, that ends with [`Names::settle`].
    pub(crate) fn is_of(&mut self, name: Box<str>, member: Member) -> bool {
        let is_news = self.all.get(&name) != Some(&member);
        if let Some(renamed) = self.renamed.as_mut().filter(|_| is_news) {
            renamed.insert(member.clone(), name.clone());
        }
        self.all.insert(name, member);
        is_news
    }

    /// An entry has this name of which nobody can tell who it is: not whoever had it before.
    pub(crate) fn is_nobodys(&mut self, name: &str) {
        self.all.remove(name);
    }

    /// Entries that were renamed have their old names no longer: whoever gets one of these is somebody else.
    pub(crate) fn settle(&mut self) {
        let renamed = self.renamed.replace(BTreeMap::new()).unwrap_or_default();
        if !renamed.is_empty() {
            self.all.retain(|name, member| renamed.get(member).is_none_or(|now| now == name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_model::directory_sync::ObjectKind;

    #[test]
    fn an_old_name_means_nobody_but_who_has_it_now() {
        let member = |id: &str| Member { kind: ObjectKind::User, id: id.parse().unwrap() };
        let mut names = Names::default();
        for (name, id) in [("a", "1"), ("b", "2"), ("c", "3")] {
            names.is_of(name.into(), member(id));
        }
        names.settle();
        // One is renamed; two change their names with each other; one becomes unreadable.
        names.is_of("d".into(), member("1"));
        names.settle();
        assert_eq!((names.get("a"), names.get("d")), (None, Some(&member("1"))));
        names.is_of("c".into(), member("2"));
        names.is_of("b".into(), member("3"));
        names.settle();
        assert_eq!((names.get("c"), names.get("b")), (Some(&member("2")), Some(&member("3"))));
        names.is_nobodys("d");
        assert_eq!((names.get("d"), names.get("b")), (None, Some(&member("3"))));
    }
}
