//! The steps of Kerberos, with an account that fails where a test says. A real KDC is in the end-to-end tests.

use std::path::{Path, PathBuf};

use postern_sso::{FailureKind, KerberosFailure, Proof, Trial, Wanted};

use super::*;

const PRINCIPAL: &str = "HTTP/c@EX";
/// `HTTP/c@EX`, kvno 3, AES-256.
const KEYTAB: &[u8] = b"\x05\x02\0\0\0\x20\0\x02\0\x02EX\0\x04HTTP\0\x01c\0\0\0\x01\0\0\0\x09\x03\0\x12\0\x04KEY!";

struct Fake {
    keytab: PathBuf,
    fails: Option<(&'static str, u32)>,
}

struct FakeTrial(Option<(&'static str, u32)>);

impl FakeTrial {
    fn step(&self, step: &str) -> Result<(), KerberosFailure> {
        match self.0 {
            Some((fails, code)) if fails == step => Err(KerberosFailure::of_status(0x96c7_3a00 + code, "words\x1b[2J")),
            Some(_) | None => Ok(()),
        }
    }
}

impl postern_sso::Account for Fake {
    fn keytab(&self) -> &Path {
        &self.keytab
    }

    fn principal(&self) -> &str {
        PRINCIPAL
    }

    fn begin(&self) -> Result<Box<dyn Trial>, KerberosFailure> {
        Ok(Box::new(FakeTrial(self.fails)))
    }
}

impl Trial for FakeTrial {
    fn sign_in(&self) -> Result<(), KerberosFailure> {
        self.step("ticket")
    }

    fn reach(&self, _service: &str) -> Result<(), KerberosFailure> {
        self.step("spn")
    }

    fn impersonate(&self, _user: &str) -> Result<(), KerberosFailure> {
        self.step("impersonate")
    }

    fn delegate(&self, _wanted: &Wanted) -> Result<(Vec<u8>, Box<dyn Proof>), KerberosFailure> {
        self.step("delegate").map(|()| (b"SECRET TICKET".to_vec(), Box::new(Proven) as Box<dyn Proof>))
    }
}

struct Proven;

impl Proof for Proven {
    fn check(self: Box<Self>, answer: &[u8]) -> Result<(), KerberosFailure> {
        let unproven = || KerberosFailure::without_code(FailureKind::PeerUnproven, "not the service");
        if answer == b"proof" { Ok(()) } else { Err(unproven()) }
    }
}

/// An application that takes the ticket, or that never does.
fn application(takes: bool) -> u16 {
    let (port, _) = server(move |mut stream| {
        let head = read_head(&mut stream).to_ascii_lowercase();
        let answer = if takes && head.contains("authorization: negotiate ") {
            "HTTP/1.1 200 OK\r\nwww-authenticate: Negotiate cHJvb2Y=\r\ncontent-length: 0\r\n\r\n"
        } else {
            "HTTP/1.1 401 U\r\nwww-authenticate: Negotiate\r\ncontent-length: 0\r\n\r\n"
        };
        let _ = stream.write_all(answer.as_bytes());
    });
    port
}

fn tried(takes: bool, keytab: &[u8], fails: Option<(&'static str, u32)>, login: Option<&str>) -> Vec<CheckStep> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keytab");
    std::fs::write(&path, keytab).unwrap();
    let settings = [("sso", "kerberos"), ("sso_spn", "HTTP/app@EX")];
    let backend = backend_at(&format!("http://127.0.0.1:{}/", application(takes)), &settings);
    let keys = Keys { account: Some(Arc::new(Fake { keytab: path, fails })), ..Keys::default() };
    let steps = checked(&backend, &keys, true, login);
    let shown = format!("{steps:?}");
    assert!(!shown.contains("SECRET") && !shown.contains("U0VDUkVU") && !shown.contains("KEY!"), "{shown}");
    assert!(!shown.contains('\x1b'), "{shown}");
    steps
}

#[test]
fn all_steps_of_a_good_one() {
    let steps = tried(true, KEYTAB, None, Some("anna@EX"));
    let names: Vec<&str> = steps.iter().map(|step| step.step.as_str()).skip(3).collect();
    assert_eq!(
        names,
        ["challenge", "websocket", "keytab", "ticket", "clock", "spn", "impersonate", "delegate", "accept"]
    );
    assert!(steps.iter().all(|step| step.result != StepResult::Fail), "{steps:#?}");
    assert!(of(&steps, "keytab").seen.ends_with("HTTP/c@EX (kvno 3 aes256-cts-hmac-sha1-96)"), "{steps:#?}");
    assert!(of(&steps, "accept").seen.contains("proves who it is"), "{steps:#?}");
}

#[test]
fn each_step_that_fails_ends_it_with_the_code_in_words() {
    for (step, code, words) in [
        ("ticket", 24, "KRB5KDC_ERR_PREAUTH_FAILED (24)"),
        ("ticket", 37, "KRB5KRB_AP_ERR_SKEW (37)"),
        ("ticket", 156, "KRB5_KDC_UNREACH (156)"),
        ("spn", 7, "KRB5KDC_ERR_S_PRINCIPAL_UNKNOWN (7)"),
        ("impersonate", 6, "KRB5KDC_ERR_C_PRINCIPAL_UNKNOWN (6)"),
        ("delegate", 13, "KRB5KDC_ERR_BADOPTION (13)"),
    ] {
        let steps = tried(true, KEYTAB, Some((step, code)), Some("anna@EX"));
        fails(&steps, step, words);
        assert!(steps.iter().all(|step| step.step != "accept"), "{steps:?}");
    }
}

#[test]
fn keytabs_that_are_of_no_use_are_named() {
    fails(&tried(true, b"", None, None), "keytab", "not a keytab");
    let other = KEYTAB.to_vec().into_iter().map(|b| if b == b'c' { b'd' } else { b }).collect::<Vec<_>>();
    fails(&tried(true, &other, None, None), "keytab", "it has keys of HTTP/d@EX");
}

/// Whom else the connector's host serves is nobody's to know who may check an application.
#[test]
fn a_keytab_names_no_principals_of_other_realms() {
    let entry = |name: u8, realm: &[u8; 2]| {
        let mut entry: Vec<u8> = KEYTAB[2..].iter().map(|b| if *b == b'c' { name } else { *b }).collect();
        let place = entry.windows(2).position(|pair| pair == b"EX").unwrap();
        entry[place..place + 2].copy_from_slice(realm);
        entry
    };
    let keytab = |entries: &[Vec<u8>]| [&KEYTAB[..2], &entries.concat()].concat();
    let foreign = [entry(b'e', b"AZ"), entry(b'f', b"AZ"), entry(b'f', b"AZ")];
    let steps = tried(true, &keytab(&[&[entry(b'd', b"EX")], &foreign[..]].concat()), None, None);
    fails(&steps, "keytab", "it has keys of HTTP/d@EX, 2 more");
    let alone = tried(true, &keytab(&foreign), None, None);
    fails(&alone, "keytab", "it has keys of 2 principals of other realms");
    let shown = format!("{steps:?}{alone:?}");
    assert!(!shown.contains("AZ") && !shown.contains("HTTP/e"), "{shown}");
}

#[test]
fn without_a_user_nobody_is_delegated_and_without_a_key_nothing_counts() {
    let steps = tried(true, KEYTAB, None, None);
    assert_eq!(of(&steps, "delegate").result, StepResult::Skipped);
    assert!(steps.iter().all(|step| step.step != "impersonate" && step.step != "accept"));
    let backend = backend_at("http://127.0.0.1:1/", &[("sso", "kerberos"), ("sso_spn", "HTTP/app@EX")]);
    fails(&checked(&backend, &Keys::default(), true, None), "keytab", "Kerberos");
}

#[test]
fn an_application_without_the_key_answers_401() {
    fails(&tried(false, KEYTAB, None, Some("anna@EX")), "accept", "401 to a good ticket");
}
