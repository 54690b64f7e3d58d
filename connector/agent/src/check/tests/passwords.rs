//! What can be said of the vault without showing a password to anybody.

use postern_model::ids::{AppId, TenantId};
use postern_model::secret::SecretText;
use postern_model::vault::{Credential, Login, Purpose, SetBy, VaultKeyPair, VaultPublicKey};

use super::*;

const ANNA: &str = "u1-7";

fn credential(public: &VaultPublicKey, port: u16) -> Credential {
    let purpose = Purpose {
        app: AppId::new(TenantId::DEFAULT, 1),
        owner: ANNA.parse().unwrap(),
        origin: format!("http://127.0.0.1:{port}"),
    };
    let login = Login::new(SecretText::new("ABERG".into()), SecretText::new("hunter2".into())).unwrap();
    let sealed = public.seal(&login, &purpose).unwrap();
    Credential { purpose, key: public.fingerprint(), sealed, set_unix_ms: 1, by: SetBy::Operator }
}

fn looked(public: &VaultPublicKey, vault: Option<Arc<Vault>>, login: Option<&str>) -> Vec<CheckStep> {
    let (port, _) = server(|mut stream| {
        let head = read_head(&mut stream);
        assert!(!head.to_ascii_lowercase().contains("authorization"), "no password is shown: {head}");
        let _ = stream.write_all(b"HTTP/1.1 401 U\r\nwww-authenticate: Basic realm=x\r\ncontent-length: 0\r\n\r\n");
    });
    let mut app = app(1, &format!("http://127.0.0.1:{port}/"), &[("sso", "basic"), ("backend_plaintext", "allow")]);
    app.credentials = vec![credential(public, port)];
    let table = BackendTable::build(&config(1, vec![app]), None);
    let keys = Keys { vault, ..Keys::default() };
    let steps = checked(table.apps.values().next().unwrap(), &keys, true, login);
    let shown = format!("{steps:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("ABERG"), "{shown}");
    steps
}

#[test]
fn a_users_entry_is_found_and_can_be_opened() {
    let VaultKeyPair { public, secret } = VaultKeyPair::generate().unwrap();
    let vault = Arc::new(Vault::new(vec![secret]).unwrap());
    let steps = looked(&public, Some(vault), Some(ANNA));
    assert_eq!(of(&steps, "vault-key").result, StepResult::Ok, "{steps:?}");
    assert_eq!(of(&steps, "vault-entry").result, StepResult::Ok, "{steps:?}");
    assert!(of(&steps, "challenge").seen.contains("which sso=basic answers"), "{steps:?}");
}

#[test]
fn what_is_missing_is_named() {
    let VaultKeyPair { public, secret } = VaultKeyPair::generate().unwrap();
    fails(&looked(&public, None, Some(ANNA)), "vault-key", "no key of the vault");
    let other = Vault::new(vec![VaultKeyPair::generate().unwrap().secret]).unwrap();
    fails(&looked(&public, Some(Arc::new(other)), Some(ANNA)), "vault-key", "0 of 1");
    let vault = Arc::new(Vault::new(vec![secret]).unwrap());
    fails(&looked(&public, Some(Arc::clone(&vault)), Some("u1-8")), "vault-entry", "no credential of u1-8");
    let steps = looked(&public, Some(vault), None);
    assert_eq!(of(&steps, "vault-entry").result, StepResult::Skipped);
}
