//! How an application tells its users apart today, as the column of that name says it.

use super::columns::Column;
use super::sheet::Row;

/// One way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Authentication {
    /// Integrated Windows authentication: Negotiate.
    Windows,
    /// Claims of an identity provider: SAML, WS-Federation, OpenID Connect.
    Claims,
    /// Headers that something in front of it sends.
    Header,
    /// A form with a password.
    Forms,
    /// HTTP Basic.
    Basic,
    /// NTLM alone.
    Ntlm,
    /// It asks nobody.
    Nothing,
}

impl Authentication {
    /// As the column says them, best first.
    pub(crate) const WORDS: [&str; 7] = ["windows", "claims", "header", "forms", "basic", "ntlm", "none"];
    const ALL: [Self; 7] =
        [Self::Windows, Self::Claims, Self::Header, Self::Forms, Self::Basic, Self::Ntlm, Self::Nothing];

    pub(crate) fn word(self) -> &'static str {
        Self::WORDS[self as usize]
    }

    /// The first that a row names: that is the one to go by.
    pub(crate) fn of(row: &Row) -> Option<Self> {
        let word = row.words(Column::Authentication).next()?;
        Self::ALL.into_iter().find(|way| way.word().eq_ignore_ascii_case(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_counts() {
        let mut row = Row::new("a.csv:2");
        assert_eq!(Authentication::of(&row), None);
        for (way, word) in Authentication::ALL.into_iter().zip(Authentication::WORDS) {
            row.set(Column::Authentication, &format!("{}; basic", word.to_uppercase()));
            assert_eq!(Authentication::of(&row), Some(way));
        }
    }
}
