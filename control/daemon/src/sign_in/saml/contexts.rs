//! How users shall have proven who they are, as a service provider asks (`RequestedAuthnContext`, SAML Core §3.3.2.2.1), and how
//! they did (`AuthnContextClassRef`).

use postern_model::saml::{Comparison, RequestedContexts};
use postern_model::session::{AuthMethod, SessionRecord};

/// Classes that would be an answer, those that are liked best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sign_in) struct Contexts(Vec<Class>);

/// A class that can be told here, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Class {
    strength: Strength,
    uri: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Strength {
    Unspecified,
    Password,
    MultiFactor,
}

impl Contexts {
    /// Whatever there is, the strongest that is true.
    pub(super) fn any() -> Self {
        Self(KNOWN.iter().rev().copied().collect())
    }

    /// What would satisfy a request; `None`: nothing that can be told here.
    pub(super) fn of(request: &RequestedContexts) -> Option<Self> {
        let asked: Vec<Class> =
            request.classes.iter().filter_map(|uri| KNOWN.iter().find(|class| class.uri == uri)).copied().collect();
        let strengths = || asked.iter().map(|class| class.strength);
        let among = |fits: &dyn Fn(Strength) -> bool| -> Vec<Class> {
            KNOWN.iter().rev().filter(|class| fits(class.strength)).copied().collect()
        };
        // With none that is known there is nothing to compare with, whatever the comparison.
        let (weakest, strongest) = (strengths().min()?, strengths().max()?);
        let classes = match request.comparison {
            Comparison::Exact => asked,
            Comparison::Minimum => among(&|strength| strength >= weakest),
            // One that is not known may be stronger than all.
            Comparison::Better if asked.len() < request.classes.len() => Vec::new(),
            Comparison::Better => among(&|strength| strength > strongest),
            Comparison::Maximum => among(&|strength| strength <= strongest),
        };
        (!classes.is_empty()).then_some(Self(classes))
    }

    /// Whether only two factors will do.
    pub(super) fn only_multi_factor(&self) -> bool {
        self.0.iter().all(|class| class.strength == Strength::MultiFactor)
    }

    /// Whether a password would do, and less would not.
    pub(super) fn want_password(&self) -> bool {
        self.0.iter().map(|class| class.strength).min() == Some(Strength::Password)
    }

    /// The class that is liked best of those that are true of a session.
    pub(super) fn met_by(&self, record: &SessionRecord) -> Option<&'static str> {
        let is_true = |class: &&Class| match class.strength {
            Strength::Unspecified => true,
            Strength::Password => record.methods.contains(&AuthMethod::Password),
            Strength::MultiFactor => record.is_multi_factor(),
        };
        self.0.iter().find(is_true).map(|class| class.uri)
    }
}

/// Weakest first. Of two of the same strength the later one is told when nobody asked for either.
const KNOWN: [Class; 5] = [
    Class { strength: Strength::Unspecified, uri: "urn:oasis:names:tc:SAML:2.0:ac:classes:unspecified" },
    Class { strength: Strength::Password, uri: "urn:oasis:names:tc:SAML:2.0:ac:classes:Password" },
    Class { strength: Strength::Password, uri: "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport" },
    Class { strength: Strength::MultiFactor, uri: "http://schemas.microsoft.com/claims/multipleauthn" },
    Class { strength: Strength::MultiFactor, uri: "https://refeds.org/profile/mfa" },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn of(comparison: Comparison, classes: &[&str]) -> Option<Vec<&'static str>> {
        let classes = classes.iter().map(|class| (*class).to_owned()).collect();
        let found = Contexts::of(&RequestedContexts { comparison, classes });
        found.map(|found| found.0.iter().map(|class| class.uri).collect())
    }

    const UNSPECIFIED: &str = KNOWN[0].uri;
    const PASSWORD: &str = KNOWN[1].uri;
    const TRANSPORT: &str = KNOWN[2].uri;
    const MICROSOFT: &str = KNOWN[3].uri;
    const REFEDS: &str = KNOWN[4].uri;
    const X509: &str = "urn:oasis:names:tc:SAML:2.0:ac:classes:X509";

    #[test]
    fn each_comparison_means_what_the_standard_says() {
        assert_eq!(of(Comparison::Exact, &[X509, TRANSPORT, REFEDS]), Some(vec![TRANSPORT, REFEDS]));
        assert_eq!(of(Comparison::Exact, &[X509]), None);
        assert_eq!(of(Comparison::Minimum, &[TRANSPORT]), Some(vec![REFEDS, MICROSOFT, TRANSPORT, PASSWORD]));
        assert_eq!(of(Comparison::Better, &[TRANSPORT]), Some(vec![REFEDS, MICROSOFT]));
        assert_eq!(of(Comparison::Better, &[REFEDS]), None);
        assert_eq!(of(Comparison::Better, &[TRANSPORT, X509]), None, "X509 may be stronger");
        assert_eq!(of(Comparison::Maximum, &[PASSWORD]), Some(vec![TRANSPORT, PASSWORD, UNSPECIFIED]));
        assert_eq!(of(Comparison::Minimum, &[]), None);
        assert!(
            Contexts::of(&RequestedContexts { comparison: Comparison::Exact, classes: vec![REFEDS.into()] })
                .unwrap()
                .only_multi_factor()
        );
        assert!(!Contexts::any().only_multi_factor());
        let wants = |comparison, class: &str| {
            Contexts::of(&RequestedContexts { comparison, classes: vec![class.into()] }).unwrap().want_password()
        };
        assert!(wants(Comparison::Exact, TRANSPORT) && wants(Comparison::Minimum, PASSWORD));
        assert!(
            !wants(Comparison::Maximum, PASSWORD)
                && !wants(Comparison::Exact, REFEDS)
                && !Contexts::any().want_password()
        );
    }
}
