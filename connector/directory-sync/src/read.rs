//! Reading the directory: the account, and searches page by page (RFC 2696), one page in memory at a time.

use ldap3::controls::{Control, ControlType, RawControl};
use ldap3::{LdapError, LdapResult, Scope, SearchResult};
use postern_service::secret;
use tokio::time::timeout;

use crate::args::Source;
use crate::entry::{Entry, cookie_of};
use crate::failure::Failure;
use crate::limits::{CONNECT_TIMEOUT, PAGE_TIMEOUT};
use crate::wire::Wire;

/// A directory that lets us read.
pub(crate) struct Reader {
    wire: Wire,
    /// Which of those that are named.
    pub(crate) nth: usize,
}

/// What to look for.
pub(crate) struct Search<'a> {
    pub(crate) base: &'a str,
    pub(crate) filter: String,
    pub(crate) attributes: Vec<&'a str>,
    pub(crate) page: i32,
}

/// Some entries, and what leads to the next.
pub(crate) struct Page {
    pub(crate) entries: Vec<Entry>,
    /// Entries that could not be read.
    pub(crate) malformed: u32,
    /// Empty: that was the last.
    pub(crate) cookie: Vec<u8>,
}

impl Reader {
    /// The first directory that can be reached; one that is reached and refuses ends the search, for the others would as well.
    pub(crate) async fn open(source: &Source) -> Result<Self, Failure> {
        let mut last = None;
        for (nth, directory) in source.directories.iter().enumerate() {
            match Wire::connect(directory, source).await {
                Ok(wire) => {
                    let mut reader = Self { wire, nth };
                    reader.bind(source, directory).await?;
                    return Ok(reader);
                }
                Err(failure) => last = Some(failure),
            }
        }
        Err(last.unwrap_or_else(|| Failure::read(&"no directory is named")))
    }

    async fn bind(&mut self, source: &Source, directory: &crate::args::Directory) -> Result<(), Failure> {
        let Some((account, file)) = &source.account else { return Ok(()) };
        let password = secret::read_text(file).map_err(|error| Failure::bind(directory, &error))?;
        let password = password.trim_end_matches(['\r', '\n']);
        if password.is_empty() {
            // RFC 4513 §5.1.2: that would be somebody without a name, and succeed.
            return Err(Failure::bind(directory, &format!("{} is empty", file.display())));
        }
        let bound = timeout(CONNECT_TIMEOUT, self.wire.ldap.simple_bind(account, password)).await;
        let bound = bound.map_err(|_| Failure::unreachable(directory, &"no answer in time"))?;
        let bound = bound.map_err(|error| match self.wire.broken() {
            Some(why) => Failure::unreachable(directory, &why),
            None => Failure::unreachable(directory, &error),
        })?;
        if bound.rc == 0 { Ok(()) } else { Err(Failure::bind(directory, &words(&bound))) }
    }

    /// One page below a base.
    pub(crate) async fn page(&mut self, search: &Search<'_>, cookie: Vec<u8>) -> Result<Page, Failure> {
        let paged = ldap3::controls::PagedResults { size: search.page, cookie };
        self.wire.ldap.with_controls(RawControl { crit: true, ..paged.into() });
        let SearchResult(found, result) =
            self.ask(search.base, Scope::Subtree, &search.filter, search.attributes.clone()).await?;
        let cookie = result.ctrls.iter().find_map(|Control(kind, raw)| {
            matches!(kind, Some(ControlType::PagedResults)).then(|| cookie_of(raw.val.as_deref()?)).flatten()
        });
        let mut page = Page { entries: Vec::new(), malformed: 0, cookie: cookie.unwrap_or_default() };
        for item in found.into_iter().filter(|item| !item.is_ref() && !item.is_intermediate()) {
            match Entry::read(item.0) {
                Some(entry) => page.entries.push(entry),
                None => page.malformed += 1,
            }
        }
        Ok(page)
    }

    /// One entry, with one attribute.
    pub(crate) async fn entry(&mut self, dn: &str, attribute: &str) -> Result<Option<Entry>, Failure> {
        let SearchResult(found, _) = self.ask(dn, Scope::Base, "(objectClass=*)", vec![attribute]).await?;
        Ok(found
            .into_iter()
            .find(|item| !item.is_ref() && !item.is_intermediate())
            .and_then(|item| Entry::read(item.0)))
    }

    async fn ask(
        &mut self,
        base: &str,
        scope: Scope,
        filter: &str,
        attributes: Vec<&str>,
    ) -> Result<SearchResult, Failure> {
        self.wire.refill();
        let asked = timeout(PAGE_TIMEOUT, self.wire.ldap.search(base, scope, filter, attributes)).await;
        let failed = |what: &dyn std::fmt::Display| Failure::read(&format!("{base:?} {filter:?}: {what}"));
        match asked {
            Err(_) => Err(failed(&"no answer in time")),
            Ok(Err(LdapError::FilterParsing)) => Err(failed(&"that is no filter")),
            Ok(Err(error)) => Err(self.wire.broken().map_or_else(|| failed(&error), |why| failed(&why))),
            Ok(Ok(SearchResult(_, result))) if result.rc != 0 => Err(failed(&words(&result))),
            Ok(Ok(found)) => Ok(found),
        }
    }
}

fn words(result: &LdapResult) -> String {
    let text: String = result.text.chars().take(WORDS_CHARS_MAX).collect();
    format!(
        "the directory says {}",
        if text.is_empty() { result.to_string() } else { format!("{} ({text:?})", result.rc) }
    )
}

const WORDS_CHARS_MAX: usize = 160;
