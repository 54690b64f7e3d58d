//! The door where devices are shown, as the keeper makes it.

use postern_model::identity::IdentityApp;
use postern_model::ids::GroupId;

use super::*;
use crate::worker::session::OpenedFor;

#[test]
fn the_host_where_devices_are_shown_has_a_door_of_its_own() {
    let held = tempfile::tempdir().unwrap();
    let mut keeper = load(&held);
    let opened = |keeper: &Keeper, name: Option<&str>| {
        let published = keeper.handle().current();
        let (tls, opened_for) = published.client_door(name.map(String::from));
        match opened_for {
            OpenedFor::Applications(named) => {
                assert_eq!((named.as_deref(), Arc::ptr_eq(&tls, &published.tls)), (name, true));
                false
            }
            OpenedFor::Devices(named) => {
                assert_eq!((Some(&*named), Arc::ptr_eq(&tls, &published.tls)), (name, false));
                true
            }
            OpenedFor::Plain => panic!("a handshake makes nothing plain"),
        }
    };
    let state = |version, host: Option<&str>| {
        let mut state = snapshot(version);
        let (app, device_host) = (*state.apps.keys().next().unwrap(), host.map(|host| host.parse().unwrap()));
        state.identity = Some(IdentityApp { app, group: GroupId::DEFAULT, device_host });
        state
    };
    keeper.snapshot(state(5, None));
    assert_eq!(keeper.settle(), applied(5));
    assert!(!opened(&keeper, Some("device.example.com")));
    keeper.snapshot(state(6, Some("device.example.com")));
    assert_eq!(keeper.settle(), applied(6));
    assert!(opened(&keeper, Some("device.example.com")) && opened(&keeper, Some("DEVICE.example.com")));
    for name in [None, Some(HOST), Some("example.com"), Some("x.device.example.com"), Some("")] {
        assert!(!opened(&keeper, name), "{name:?}");
    }
}
