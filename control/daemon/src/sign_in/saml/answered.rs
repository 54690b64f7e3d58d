//! Requests that were answered with an assertion: each gets one. Who finds its address in a browser's history gets none.

use std::collections::{BTreeSet, VecDeque};

use postern_model::ids::AppId;

use crate::limits::{SAML_ANSWERED_MAX, SAML_ANSWERED_S};
use crate::sessions::secret_key;

/// Hashes of their ids, in the order in which they were answered.
#[derive(Default)]
pub(in crate::sign_in) struct Answered {
    known: BTreeSet<[u8; 32]>,
    order: VecDeque<([u8; 32], u64)>,
}

impl Answered {
    /// Whether a request was not answered before; it is from now on. Ids are the service provider's: each has its own.
    pub(super) fn is_first(&mut self, app: AppId, id: &str, now_unix: u64) -> bool {
        while let Some((oldest, at)) = self.order.front()
            && (self.order.len() >= SAML_ANSWERED_MAX || at + SAML_ANSWERED_S <= now_unix)
        {
            self.known.remove(oldest);
            self.order.pop_front();
        }
        let key = secret_key(&format!("{app} {id}"));
        let is_first = self.known.insert(key);
        if is_first {
            self.order.push_back((key, now_unix));
        }
        is_first
    }
}

#[cfg(test)]
mod tests {
    use postern_model::ids::TenantId;

    use super::*;

    const APP: AppId = AppId::new(TenantId::DEFAULT, 1);

    #[test]
    fn a_request_is_answered_once_as_long_as_it_can_come_again() {
        let mut answered = Answered::default();
        assert!(answered.is_first(APP, "_a", 100));
        assert!(!answered.is_first(APP, "_a", 100 + SAML_ANSWERED_S - 1));
        assert!(answered.is_first(AppId::new(TenantId::DEFAULT, 2), "_a", 101) && answered.is_first(APP, "_b", 101));
        assert!(answered.is_first(APP, "_a", 100 + SAML_ANSWERED_S));
        assert_eq!(answered.known.len(), answered.order.len());
    }

    #[test]
    fn what_is_remembered_has_an_end() {
        let mut answered = Answered::default();
        for nth in 0..SAML_ANSWERED_MAX + 10 {
            assert!(answered.is_first(APP, &format!("_{nth}"), 100));
        }
        assert_eq!((answered.known.len(), answered.order.len()), (SAML_ANSWERED_MAX, SAML_ANSWERED_MAX));
    }
}
