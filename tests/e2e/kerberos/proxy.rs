//! A forward proxy that asks for tickets: a connector shows it one of its own account.

use std::time::Duration;

use postern_tests::kerberos::{APP, Apache, Kind};
use postern_tests::origin::Origin;
use postern_tests::world::{Options, START_TIMEOUT, World};

use super::{Realm, connector_with};

fn a_connector_goes_through_with_its_ticket(kind: Kind) {
    let Some(realm) = Realm::start(kind) else { return };
    let proxy = Apache::start_proxy(&realm.kdc, realm.folder.path()).unwrap();
    let world = World::start(Options { connectors: 0, ..Options::default() }).unwrap();
    let url = format!("http://{}", proxy.address());
    let start = |name: &str, more: &[&str]| {
        let more = [&["--proxy", url.as_str()], more].concat();
        connector_with(&realm, &world, &realm.kdc.connector_keytab(), name, &more)
    };
    let limit = Duration::from_secs(20);
    let without = start("without", &[]);
    assert!(without.logs_within(limit, "wants a user name and a password (407)"), "{}", without.log_tail());
    drop(without);
    let none = realm.kdc.principal("HTTP/none.example.test");
    let unknown = start("unknown", &["--proxy-auth", "negotiate", "--proxy-spn", none.as_str()]);
    assert!(unknown.logs_within(limit, "KRB5KDC_ERR_S_PRINCIPAL_UNKNOWN"), "{}", unknown.log_tail());
    drop(unknown);

    let spn = realm.kdc.principal(APP);
    let good = start("good", &["--proxy-auth", "negotiate", "--proxy-spn", spn.as_str()]);
    let online = |count: usize| move |world: &World| world.connectors_online() == count;
    let came = world.expect_within(START_TIMEOUT, "the connector is online", online(1));
    came.unwrap_or_else(|error| panic!("{error}: {}", good.log_tail()));
    let origin = Origin::start().unwrap();
    let client = world.publish("app", &origin.url()).unwrap();
    assert_eq!(client.get("/bytes/1000").unwrap().body.len(), 1000);
    drop(proxy);
    world.expect_within(START_TIMEOUT, "there is no other way", online(0)).unwrap();
}

#[test]
fn a_connector_goes_through_by_heimdals_tickets() {
    a_connector_goes_through_with_its_ticket(Kind::Heimdal);
}

#[test]
fn a_connector_goes_through_by_mits_tickets() {
    a_connector_goes_through_with_its_ticket(Kind::Mit);
}
