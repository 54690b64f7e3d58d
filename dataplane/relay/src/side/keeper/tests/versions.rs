//! By which door clients come in whose host is for TLS 1.3 alone.

use super::*;

#[test]
fn a_host_for_tls_1_3_has_a_door_of_its_own() {
    let held = tempfile::tempdir().unwrap();
    let mut keeper = load(&held);
    keeper.snapshot(snapshot(5));
    assert_eq!(keeper.settle(), applied(5));
    assert!(keeper.handle().current().tls13.is_none(), "nobody asks for it");
    let mut state = snapshot(6);
    for app in state.apps.values_mut() {
        app.settings.insert("tls_min".into(), "1.3".into());
    }
    keeper.snapshot(state);
    assert_eq!(keeper.settle(), applied(6));
    let published = keeper.handle().current();
    let is_strict = |name: Option<&str>| {
        let (tls, _) = published.client_door(name.map(String::from));
        published.tls13.as_ref().is_some_and(|strict| Arc::ptr_eq(strict, &tls))
    };
    assert!(is_strict(Some(HOST)) && is_strict(Some(&HOST.to_uppercase())));
    assert!(is_strict(None), "which host it wants, nobody knows");
    assert!(!is_strict(Some("other.example.com")) && !is_strict(Some("")));
}
