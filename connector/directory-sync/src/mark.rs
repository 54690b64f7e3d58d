//! From where on the next pass looks for what has changed: from where the directory was before anything of this pass was read.
//! An entry of an early page that changes while later ones are read has a greater value than the mark, and is met again; the
//! greatest value that was read would be beyond it.

use time::OffsetDateTime;

use crate::entry::Entry;
use crate::failure::Failure;
use crate::pass::now_unix;
use crate::read::Reader;

/// The mark of a pass under way.
#[derive(Debug)]
pub(crate) struct Mark {
    before: Before,
    /// The greatest value that was read.
    greatest: Option<String>,
    is_first_page: bool,
}

/// Where the directory was when the pass began.
#[derive(Debug)]
enum Before {
    /// Its count of changes.
    Count(String),
    /// Our time, less what its clock may be behind and what a change takes until it can be read.
    Time(String),
    /// It does not say: what the first page has was there before the others were read.
    FirstPage,
}

impl Mark {
    /// Asked before anything else is read.
    pub(crate) async fn begin(reader: &mut Reader, changed: &str, last: Option<&str>) -> Result<Self, Failure> {
        let count = if changed.eq_ignore_ascii_case(USN) {
            let root = reader.entry("", HIGHEST_USN).await?;
            root.and_then(|root| root.text(HIGHEST_USN).filter(|text| is_plain(text)).map(str::to_owned))
        } else {
            None
        };
        let before = match count {
            Some(count) => Before::Count(count),
            None => time_before(changed, now_unix()).map_or(Before::FirstPage, Before::Time),
        };
        Ok(Self { before, greatest: last.map(str::to_owned), is_first_page: true })
    }

    /// What an entry says of when it changed.
    pub(crate) fn note(&mut self, entry: &Entry, changed: &str) {
        let Some(value) = entry.text(changed).filter(|value| is_plain(value)) else { return };
        if matches!(self.before, Before::FirstPage) && !self.is_first_page {
            return;
        }
        if self.greatest.as_deref().is_none_or(|greatest| key(value) > key(greatest)) {
            self.greatest = Some(value.to_owned());
        }
    }

    pub(crate) fn page_ends(&mut self) {
        self.is_first_page = false;
    }

    /// The mark for the next pass. `None`: everything is to be read again.
    pub(crate) fn next(&self) -> Option<String> {
        match &self.before {
            Before::Count(count) => Some(count.clone()),
            // Of a directory whose clock is behind by more, what it wrote last says so.
            Before::Time(time) => {
                let behind = self.greatest.as_ref().filter(|greatest| key(greatest) < key(time));
                Some(behind.unwrap_or(time).clone())
            }
            Before::FirstPage => self.greatest.clone(),
        }
    }
}

/// Numbers without leading zeros, and times, whose fraction does not count: the longer, then the later in order, is the greater.
fn key(value: &str) -> (usize, &str) {
    let whole = value.split('.').next().unwrap_or(value).trim_end_matches('Z');
    (whole.len(), whole)
}

/// In a filter it means itself.
fn is_plain(value: &str) -> bool {
    let is_short = (1..=MARK_BYTES_MAX).contains(&value.len());
    is_short && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
}

/// GeneralizedTime (RFC 4517 §3.3.13), for an attribute that is one. Active Directory's has a fraction.
fn time_before(changed: &str, now_unix: u64) -> Option<String> {
    let (_, ending) = TIMES.iter().find(|(name, _)| changed.eq_ignore_ascii_case(name))?;
    let at = i64::try_from(now_unix.saturating_sub(CLOCKS_DIFFER_S)).ok()?;
    let at = OffsetDateTime::from_unix_timestamp(at).ok()?;
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    let (hour, minute, second) = (at.hour(), at.minute(), at.second());
    Some(format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}{ending}"))
}

const USN: &str = "uSNChanged";
/// Of the root DSE ([MS-ADTS] 3.1.1.3.2.16).
const HIGHEST_USN: &str = "highestCommittedUSN";
const TIMES: [(&str, &str); 2] = [("modifyTimestamp", "Z"), ("whenChanged", ".0Z")];
const CLOCKS_DIFFER_S: u64 = 300;
const MARK_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn after(before: Before, pages: &[&[&str]]) -> Option<String> {
        let mut mark = Mark { before, greatest: None, is_first_page: true };
        for page in pages {
            page.iter().for_each(|value| mark.note(&Entry::of("x", &[("changed", value.as_bytes())]), "changed"));
            mark.page_ends();
        }
        mark.next()
    }

    #[test]
    fn a_change_of_an_early_page_while_others_are_read_is_met_again() {
        // 101 is of a later page; 100 may have been given meanwhile to an entry of the first.
        assert_eq!(after(Before::Count("99".into()), &[&["98"], &["101"]]).unwrap(), "99");
        assert_eq!(after(Before::FirstPage, &[&["98", "99", "9"], &["101"]]).unwrap(), "99");
        assert_eq!(after(Before::FirstPage, &[&[]]), None);
        let time = || Before::Time("20270115075500Z".into());
        assert_eq!(after(time(), &[&["20270115075900Z"], &["20270115080001Z"]]).unwrap(), "20270115075500Z");
        assert_eq!(after(time(), &[]).unwrap(), "20270115075500Z");
        let behind = "20270115070000Z";
        assert_eq!(after(time(), &[&[behind]]).unwrap(), behind, "its clock may be an hour behind");
        assert_eq!(after(time(), &[&["20270115070000.0Z"]]).unwrap(), "20270115070000.0Z");
    }

    #[test]
    fn the_time_before_a_pass_is_written_as_the_directory_does() {
        assert_eq!(time_before("ModifyTimestamp", 1_800_000_300).unwrap(), "20270115080000Z");
        assert_eq!(time_before("whenChanged", 1_800_000_300).unwrap(), "20270115080000.0Z");
        assert_eq!(time_before("entryUSN", 1_800_000_300), None);
    }

    #[test]
    fn what_a_filter_would_take_for_its_own_is_no_mark() {
        assert_eq!(after(Before::FirstPage, &[&["1)(uid=*", "", "7"]]).unwrap(), "7");
    }
}
