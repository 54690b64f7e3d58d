//! How the relay's own pages look where an application's would be.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use crate::directory::Line;
use crate::settings::portal::png;
use crate::settings::{SettingInvalid, unfit};

/// What an organisation shows on the relay's own pages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorBrand {
    /// `error_title`: who speaks, above everything else.
    pub title: Option<Line<TITLE_BYTES_MAX>>,
    /// `error_support`: who helps.
    pub support: Option<ErrorSupport>,
    /// `error_logo`: a `data:` URI of a PNG.
    pub logo: Option<Box<str>>,
    /// What was made of it for pages.
    pub header: MadeOnce,
}

/// Text that is made of settings when it is needed first, by whoever shows it. It says nothing that they do not, and so is equal to
/// any other.
#[derive(Clone, Default)]
pub struct MadeOnce(OnceLock<Box<str>>);

impl MadeOnce {
    /// The text; `make` is called the first time only.
    pub fn get(&self, make: impl FnOnce() -> String) -> &str {
        self.0.get_or_init(|| make().into())
    }
}

impl PartialEq for MadeOnce {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for MadeOnce {}

impl fmt::Debug for MadeOnce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MadeOnce(…)")
    }
}

/// Who helps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorSupport {
    /// What people read.
    pub text: Box<str>,
    /// Where it leads, `https:` or `mailto:`, if it does.
    pub url: Option<Box<str>>,
}

impl ErrorBrand {
    /// `None` when nothing of it is set.
    pub(super) fn read(settings: &BTreeMap<String, String>) -> Result<Option<Self>, SettingInvalid> {
        let brand = Self {
            title: settings.get(TITLE).map(|value| title(value)).transpose()?,
            support: settings.get(SUPPORT).map(|value| support(value)).transpose()?,
            logo: settings.get(LOGO).map(|value| logo(value)).transpose()?,
            header: MadeOnce::default(),
        };
        Ok((brand != Self::default()).then_some(brand))
    }
}

fn title(value: &str) -> Result<Line<TITLE_BYTES_MAX>, SettingInvalid> {
    let line = value.parse::<Line<TITLE_BYTES_MAX>>().ok().filter(|line| !line.as_str().trim().is_empty());
    line.ok_or_else(|| unfit(TITLE, value, "must be one line of 1 to 64 bytes without control characters"))
}

fn support(value: &str) -> Result<ErrorSupport, SettingInvalid> {
    let expected = "must be an https:// URL, a mail address, or one line of text, at most 256 bytes";
    let refused = || unfit(SUPPORT, value, expected);
    let line: Line<SUPPORT_BYTES_MAX> = value.trim().parse().map_err(|_| refused())?;
    let text = line.as_str();
    if text.is_empty() {
        return Err(refused());
    }
    let url = match text.split_once("://") {
        Some(("https", rest)) if is_clean(rest) => Some(text.into()),
        Some((scheme, _)) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => return Err(refused()),
        Some(_) | None => is_mail_address(text).then(|| format!("mailto:{text}").into()),
    };
    Ok(ErrorSupport { text: text.into(), url })
}

/// Nothing that a browser would read as something else than it says.
fn is_clean(rest: &str) -> bool {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    authority.starts_with(|first: char| first.is_ascii_alphanumeric())
        && authority.bytes().all(is_host)
        && rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte))
}

fn is_mail_address(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_+".contains(&byte))
    };
    text.split_once('@').is_some_and(|(local, domain)| is_part(local) && is_part(domain))
}

fn logo(value: &str) -> Result<Box<str>, SettingInvalid> {
    if value.len() > LOGO_BYTES_MAX {
        return Err(unfit(LOGO, value, "must have at most 16384 bytes as a data: URI"));
    }
    png(LOGO, value).map(|_| value.trim_end().into())
}

pub(super) const TITLE: &str = "error_title";
pub(super) const SUPPORT: &str = "error_support";
pub(in crate::settings) const LOGO: &str = "error_logo";
/// Bytes of who speaks.
const TITLE_BYTES_MAX: usize = 64;
const SUPPORT_BYTES_MAX: usize = 256;
/// Relays keep it, and send it with every page.
const LOGO_BYTES_MAX: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::super::tests::parsed;
    use super::*;

    #[test]
    fn who_helps_is_a_link_where_it_can_be_one() {
        let of = |value: &str| {
            let support = parsed(&[(SUPPORT, value)]).unwrap().brand.unwrap().support.unwrap();
            (support.text.into_string(), support.url.map(String::from))
        };
        let link = "https://help.example.com/it?a=b";
        assert_eq!(of(link), (link.into(), Some(link.into())));
        let mailto = Some("mailto:help@example.com".to_owned());
        assert_eq!(of("help@example.com"), ("help@example.com".into(), mailto));
        assert_eq!(of("Call 1234 (9 to 5)"), ("Call 1234 (9 to 5)".into(), None));
        for wrong in
            ["", "http://a.example/", "javascript://x", "https://", "https://a@b.example/", "https://a b", "a\nb"]
        {
            assert!(parsed(&[(SUPPORT, wrong)]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_made_of_it_is_made_once_and_no_difference() {
        let brand = parsed(&[(TITLE, "Example AG")]).unwrap().brand.unwrap();
        let other = brand.clone();
        assert_eq!(brand.header.get(|| "made".into()), "made");
        assert_eq!(brand.header.get(|| unreachable!("it is there")), "made");
        assert_eq!(brand, other);
    }

    #[test]
    fn nothing_set_is_nothing() {
        assert_eq!(parsed(&[]).unwrap().brand, None);
        assert_eq!(parsed(&[(TITLE, "Example AG")]).unwrap().brand.unwrap().title.unwrap().as_str(), "Example AG");
        for (name, value) in [(TITLE, " "), (TITLE, "a\tb"), (LOGO, "data:image/svg+xml;base64,AAAA"), (LOGO, "x.png")]
        {
            assert!(parsed(&[(name, value)]).is_err(), "{name}={value}");
        }
        let large = format!("data:image/png;base64,{}", "A".repeat(16 << 10));
        assert!(parsed(&[(LOGO, &large)]).unwrap_err().to_string().contains("16384"));
    }
}
