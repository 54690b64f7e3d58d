//! Codes: what a browser carries from the identity's host to its application's, good once and for a minute.

use std::collections::{BTreeMap, VecDeque};

use aws_lc_rs::{constant_time, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postern_model::ids::{AppId, SessionId};

use super::{Flow, Redeem};
use crate::limits::{CODE_KEPT_S, CODE_S, CODES_MAX};
use crate::sessions::secret_key;

/// Codes that were given out. Those that were used are kept for a while: one that comes again is a theft.
#[derive(Default)]
pub(super) struct Codes {
    codes: BTreeMap<[u8; 32], Code>,
    given: VecDeque<([u8; 32], u64)>,
}

struct Code {
    session: SessionId,
    app: AppId,
    redirect_uri: String,
    challenge: String,
    given_unix: u64,
    used: bool,
}

/// What became of a code.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Redeemed {
    Good(SessionId),
    Again(SessionId),
    Unknown,
}

impl Codes {
    pub(super) fn keep(&mut self, key: [u8; 32], flow: &Flow, session: SessionId, now_unix: u64) {
        while let Some((oldest, given)) = self.given.front()
            && (self.given.len() >= CODES_MAX || given + CODE_KEPT_S <= now_unix)
        {
            self.codes.remove(oldest);
            self.given.pop_front();
        }
        let code = Code {
            session,
            app: flow.app,
            redirect_uri: flow.redirect_uri.clone(),
            challenge: flow.challenge.clone(),
            given_unix: now_unix,
            used: false,
        };
        self.given.push_back((key, now_unix));
        self.codes.insert(key, code);
    }

    /// One attempt uses it up, whatever comes of it.
    pub(super) fn redeem(&mut self, request: &Redeem<'_>, now_unix: u64) -> Redeemed {
        let Some(code) = self.codes.get_mut(&secret_key(request.code)) else { return Redeemed::Unknown };
        if std::mem::replace(&mut code.used, true) {
            return Redeemed::Again(code.session);
        }
        let challenge = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, request.verifier.as_bytes()));
        let is_proven = constant_time::verify_slices_are_equal(challenge.as_bytes(), code.challenge.as_bytes()).is_ok();
        let is_same = (code.app, &*code.redirect_uri) == (request.app, request.redirect_uri);
        if is_proven && is_same && now_unix < code.given_unix + CODE_S {
            return Redeemed::Good(code.session);
        }
        Redeemed::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_model::ids::TenantId;

    const APP: AppId = AppId::new(TenantId::DEFAULT, 1);
    const SESSION: SessionId = SessionId(7);
    const CALLBACK: &str = "https://a.example.com/.postern/callback";
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    fn codes() -> Codes {
        let flow = Flow {
            app: APP,
            redirect_uri: CALLBACK.into(),
            state: "s".into(),
            // RFC 7636, appendix B.
            challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".into(),
            source: std::net::IpAddr::from([192, 0, 2, 1]),
            tenant: TenantId::DEFAULT,
            goal: super::super::Goal::App,
            replaces: Default::default(),
            stage: std::cell::RefCell::new(super::super::Stage::Taken),
            missed: postern_model::identity::Missed::default(),
            visit: std::cell::RefCell::default(),
            again: std::cell::Cell::new(false),
            declined: Default::default(),
            policies: Default::default(),
        };
        let mut codes = Codes::default();
        codes.keep(secret_key("code"), &flow, SESSION, 100);
        codes
    }

    const RIGHT: Redeem<'_> = Redeem { app: APP, code: "code", verifier: VERIFIER, redirect_uri: CALLBACK };

    #[test]
    fn a_code_is_good_once() {
        let mut codes = codes();
        assert_eq!(codes.redeem(&RIGHT, 101), Redeemed::Good(SESSION));
        assert_eq!(codes.redeem(&RIGHT, 102), Redeemed::Again(SESSION));
    }

    #[test]
    fn a_code_is_good_for_whom_it_was_made_only() {
        let other = AppId::new(TenantId::DEFAULT, 2);
        for wrong in [
            Redeem { code: "coda", ..RIGHT },
            Redeem { app: other, ..RIGHT },
            Redeem { verifier: "x", ..RIGHT },
            Redeem { verifier: "", ..RIGHT },
            Redeem { redirect_uri: "https://b.example.com/.postern/callback", ..RIGHT },
        ] {
            assert_eq!(codes().redeem(&wrong, 101), Redeemed::Unknown);
        }
        assert_eq!(codes().redeem(&RIGHT, 100 + CODE_S), Redeemed::Unknown);
        assert_eq!(codes().redeem(&RIGHT, 99 + CODE_S), Redeemed::Good(SESSION));
        let mut codes = codes();
        assert_eq!(codes.redeem(&Redeem { verifier: "x", ..RIGHT }, 101), Redeemed::Unknown);
        assert_eq!(codes.redeem(&RIGHT, 101), Redeemed::Again(SESSION), "a failed attempt uses it up");
    }
}
