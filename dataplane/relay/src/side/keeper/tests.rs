//! What the keeper serves after good and bad news from control, and after a restart.

mod devices;
mod versions;

use super::*;
use crate::side::testing::{self, HOST, app_put, snapshot};
use postern_model::config::Preauth;
use postern_model::group_config::SignedGroupConfig;
use postern_model::ids::{ConnectorId, GroupId, TenantId};
use tempfile::TempDir;

fn load(held: &TempDir) -> Keeper {
    let (keeper, warning) = Keeper::load(Folder::new(held.path()), None, TlsPreset::default()).unwrap();
    assert_eq!(warning, None);
    keeper
}

fn welcome(keeper: &Keeper, authority: &testing::Authority) -> Welcome {
    Welcome {
        protocol: PROTOCOL,
        relay_id: RelayId(3),
        relay_name: String::from("edge"),
        ca_pem: authority.pem.clone(),
        certificate_pem: authority.issue_relay(&keeper.identity().request_pem().unwrap()),
        server_time_unix_ms: 1,
        epoch: None,
    }
}

fn internal_port(keeper: &Keeper) -> String {
    let published = keeper.handle().current();
    let app = published.plan.apps().next().unwrap();
    app.internal.to_string()
}

fn applied(version: u64) -> Option<ToControl> {
    Some(ToControl::Applied { version })
}

#[test]
fn a_snapshot_is_served_and_a_change_replaces_it() {
    let held = tempfile::tempdir().unwrap();
    let mut keeper = load(&held);
    assert!(keeper.handle().current().plan.host(HOST).is_none());
    keeper.snapshot(snapshot(5));
    assert_eq!(keeper.settle(), applied(5));
    let published = keeper.handle().current();
    assert!(published.plan.host(HOST).is_some());
    let (connector, group) = (ConnectorId::new(TenantId::DEFAULT, 9), "g1-1".parse().unwrap());
    assert!(published.admits_connector(connector, group));
    assert!(!published.admits_connector(connector, "g1-2".parse().unwrap()));

    assert!(keeper.delta(&app_put(6, "http://127.0.0.1:9090/")).is_none());
    assert_eq!(keeper.settle(), applied(6));
    assert!(internal_port(&keeper).contains("9090"));
    assert!(keeper.handle().sequence() > published.sequence);
}

#[test]
fn a_state_that_cannot_be_served_leaves_the_last_good_one_also_after_a_restart() {
    let held = tempfile::tempdir().unwrap();
    let mut keeper = load(&held);
    keeper.snapshot(snapshot(5));
    keeper.settle();
    assert!(keeper.delta(&app_put(6, "gopher://nowhere")).is_none());
    let Some(ToControl::Rejected { version: 6, reason }) = keeper.settle() else { panic!("version 6 is rejected") };
    assert!(reason.contains("app"), "{reason}");
    assert_eq!(keeper.handle().current().version, 5);
    assert!(internal_port(&keeper).contains("8080"));

    let restarted = load(&held);
    assert_eq!(restarted.handle().current().version, 5);
    assert!(internal_port(&restarted).contains("8080"));

    // Control repairs it with the next change: no whole state is needed.
    assert!(keeper.delta(&app_put(7, "http://127.0.0.1:7070/")).is_none());
    assert_eq!(keeper.settle(), applied(7));
    assert!(internal_port(&keeper).contains("7070"));
}

#[test]
fn a_change_that_does_not_follow_is_refused_and_a_whole_state_asked_for() {
    let held = tempfile::tempdir().unwrap();
    let mut keeper = load(&held);
    keeper.snapshot(snapshot(5));
    keeper.settle();
    assert_eq!(keeper.hello("n", 1, 1, 0).unwrap().last_version, 5);
    assert!(matches!(keeper.delta(&app_put(8, "http://127.0.0.1:1/")), Some(ToControl::Rejected { version: 8, .. })));
    assert_eq!(keeper.settle(), None);
    assert_eq!(keeper.handle().current().version, 5);
    assert_eq!(keeper.hello("n", 1, 1, 0).unwrap().last_version, 0);
    keeper.snapshot(snapshot(9));
    assert_eq!(keeper.settle(), applied(9));
    assert_eq!(keeper.hello("n", 1, 1, 0).unwrap().last_version, 9);
}

/// A new link, and control's welcome on it.
fn linked(keeper: &mut Keeper, authority: &testing::Authority, epoch: u128) {
    keeper.hello("n", 1, 1, 0).unwrap();
    let welcome = Welcome { epoch: Some(Epoch(epoch)), ..welcome(keeper, authority) };
    keeper.welcome(&welcome).unwrap();
}

fn known(keeper: &mut Keeper) -> (u64, Option<Epoch>) {
    let hello = keeper.hello("n", 1, 1, 0).unwrap();
    (hello.last_version, hello.epoch)
}

#[test]
fn a_change_of_another_epoch_is_refused_though_it_follows_in_number() {
    let (held, authority) = (tempfile::tempdir().unwrap(), testing::Authority::new());
    let mut keeper = load(&held);
    linked(&mut keeper, &authority, 1);
    keeper.snapshot(snapshot(5));
    assert_eq!(keeper.settle(), applied(5));
    assert_eq!(known(&mut keeper), (5, Some(Epoch(1))));
    // A link that broke says nothing of control: the same one goes on.
    linked(&mut keeper, &authority, 1);
    assert!(keeper.delta(&app_put(6, "http://127.0.0.1:6060/")).is_none());
    assert_eq!(keeper.settle(), applied(6));

    linked(&mut keeper, &authority, 2);
    let refusal = keeper.delta(&app_put(7, "http://127.0.0.1:7070/"));
    assert!(matches!(refusal, Some(ToControl::Rejected { version: 7, .. })), "{refusal:?}");
    assert_eq!((keeper.settle(), keeper.served_version()), (None, 6));
    assert_eq!(known(&mut keeper), (0, None));

    linked(&mut keeper, &authority, 2);
    keeper.snapshot(snapshot(6));
    assert_eq!(keeper.settle(), applied(6), "the same number, another history");
    assert!(internal_port(&keeper).contains("8080"));
    assert_eq!(known(&mut keeper), (6, Some(Epoch(2))));

    // What is on disk may be of any epoch.
    let mut restarted = load(&held);
    assert_eq!(known(&mut restarted), (6, None));
    linked(&mut restarted, &authority, 2);
    assert!(restarted.delta(&app_put(7, "http://127.0.0.1:7070/")).is_some());
}

#[test]
fn a_state_of_another_history_that_cannot_be_served_is_not_kept_for_its_number() {
    let (held, authority) = (tempfile::tempdir().unwrap(), testing::Authority::new());
    let mut keeper = load(&held);
    linked(&mut keeper, &authority, 1);
    keeper.snapshot(snapshot(5));
    keeper.settle();
    linked(&mut keeper, &authority, 2);
    let mut wrong = snapshot(5);
    wrong.connectors.clear();
    wrong.apps.values_mut().for_each(|app| app.internal_url = "gopher://nowhere".into());
    keeper.snapshot(wrong);
    assert!(matches!(keeper.settle(), Some(ToControl::Rejected { version: 5, .. })));
    linked(&mut keeper, &authority, 2);
    let (connector, group) = (ConnectorId::new(TenantId::DEFAULT, 9), "g1-1".parse().unwrap());
    assert!(keeper.handle().current().admits_connector(connector, group), "the last good one stays as a whole");
    assert!(internal_port(&load(&held)).contains("8080"));
}

#[test]
fn a_certificate_with_another_key_is_not_served() {
    let held = tempfile::tempdir().unwrap();
    let mut keeper = load(&held);
    let mut mixed = snapshot(2);
    let other = snapshot(2);
    for (mine, theirs) in mixed.certificates.values_mut().zip(other.certificates.values()) {
        mine.key_pem = theirs.key_pem.clone();
    }
    keeper.snapshot(mixed);
    let Some(ToControl::Rejected { reason, .. }) = keeper.settle() else { panic!("rejected") };
    assert!(reason.contains("not the certificate's"), "{reason}");
}

#[test]
fn tunnels_wait_for_controls_welcome_and_survive_a_restart() {
    let held = tempfile::tempdir().unwrap();
    let mut keeper = load(&held);
    assert!(keeper.handle().current().tunnel_tls.is_none() && keeper.enrolment_tls().is_none());
    let authority = testing::Authority::new();
    let news = welcome(&keeper, &authority);
    keeper.welcome(&news).unwrap();
    assert!(keeper.handle().current().tunnel_tls.is_some() && keeper.enrolment_tls().is_some());
    assert!(keeper.control_tls().is_none(), "this relay connects to control itself");
    let restarted = load(&held);
    let published = restarted.handle().current();
    assert_eq!(published.relay, Some(RelayId(3)));
    assert!(published.tunnel_tls.is_some());
}

#[test]
fn another_control_than_the_trusted_one_is_refused() {
    let held = tempfile::tempdir().unwrap();
    let trusted = testing::Authority::new();
    let (mut keeper, _) = Keeper::load(Folder::new(held.path()), Some(&trusted.pem), TlsPreset::default()).unwrap();
    assert!(keeper.control_tls().is_some());
    let foreign = welcome(&keeper, &testing::Authority::new());
    assert!(keeper.welcome(&foreign).unwrap_err().to_string().contains("--trust-anchor"));
    assert!(keeper.handle().current().tunnel_tls.is_none());
    assert!(Keeper::load(Folder::new(held.path()), Some("no PEM"), TlsPreset::default()).is_err());
}

#[test]
fn a_damaged_state_is_reported_and_the_relay_starts_without_it() {
    let held = tempfile::tempdir().unwrap();
    let mut keeper = load(&held);
    keeper.snapshot(snapshot(5));
    keeper.settle();
    let file = held.path().join("state.sealed");
    let mut sealed = std::fs::read(&file).unwrap();
    let last = sealed.len() - 1;
    sealed[last] ^= 1;
    std::fs::write(&file, sealed).unwrap();
    let (keeper, warning) = Keeper::load(Folder::new(held.path()), None, TlsPreset::default()).unwrap();
    assert!(warning.unwrap().contains("damaged"));
    assert_eq!(keeper.handle().current().version, 0);
}

#[test]
fn group_configs_that_did_not_change_stay_the_same() {
    let held = tempfile::tempdir().unwrap();
    let mut keeper = load(&held);
    let mut state = snapshot(5);
    let signed = SignedGroupConfig { body: String::from("{}"), signature: String::from("s") };
    state.group_configs.insert(GroupId::DEFAULT, signed);
    keeper.snapshot(state);
    keeper.settle();
    let before = keeper.handle().current();
    keeper.delta(&app_put(6, "http://127.0.0.1:9090/"));
    keeper.settle();
    let after = keeper.handle().current();
    assert!(Arc::ptr_eq(&before.group_configs[&GroupId::DEFAULT], &after.group_configs[&GroupId::DEFAULT]));
}

#[test]
fn a_change_that_cannot_be_saved_is_in_force_and_confirmed_when_it_is_saved() {
    let held = tempfile::tempdir().unwrap();
    let mut keeper = load(&held);
    keeper.snapshot(snapshot(5));
    assert_eq!(keeper.settle(), applied(5));
    assert_eq!((keeper.kept_version, keeper.unkept_warning()), (5, None));
    // Root may write to any folder, but nobody to a file where a folder is.
    let obstacle = held.path().join("state.sealed.new");
    std::fs::create_dir(&obstacle).unwrap();
    assert!(keeper.delta(&app_put(6, "http://127.0.0.1:9090/")).is_none());
    assert_eq!(keeper.settle(), None, "it is not confirmed");
    assert!(internal_port(&keeper).contains("9090"), "it is in force");
    assert_eq!((keeper.served_version(), keeper.kept_version), (6, 5));
    assert!(keeper.unkept_warning().unwrap().contains("cannot be saved"));
    assert_eq!(load(&held).kept_version, 5, "what a restart would begin with");

    let told = keeper.report(RelayStatus { applied_version: 6, ..RelayStatus::default() });
    assert_eq!((told.applied_version, told.warnings.len()), (5, 1), "a report does not confirm it either");

    assert_eq!(keeper.save_again(Instant::now() + SAVE_RETRY_INTERVAL), None);
    assert_eq!((keeper.kept_version, keeper.settle()), (5, None), "still not");
    std::fs::remove_dir(&obstacle).unwrap();
    assert_eq!(keeper.save_again(Instant::now()), None);
    assert_eq!(keeper.kept_version, 5, "not so soon");
    assert_eq!(keeper.save_again(Instant::now() + SAVE_RETRY_INTERVAL), applied(6));
    assert_eq!((keeper.kept_version, keeper.unkept_warning()), (6, None));
    assert_eq!(keeper.save_again(Instant::now() + SAVE_RETRY_INTERVAL * 2), None, "once");
    assert_eq!(load(&held).served_version(), 6);

    // Any other change tries again, too.
    std::fs::create_dir(&obstacle).unwrap();
    keeper.delta(&app_put(7, "http://127.0.0.1:7070/"));
    assert_eq!(keeper.settle(), None);
    std::fs::remove_dir(&obstacle).unwrap();
    keeper.delta(&app_put(8, "http://127.0.0.1:8080/"));
    assert_eq!(keeper.settle(), applied(8));
}

#[test]
fn what_is_saved_late_is_confirmed_only_to_whom_it_is_of() {
    let (held, authority) = (tempfile::tempdir().unwrap(), testing::Authority::new());
    let mut keeper = load(&held);
    let obstacle = held.path().join("state.sealed.new");
    let unsaved = |keeper: &mut Keeper, version| {
        linked(keeper, &authority, 1);
        std::fs::create_dir(&obstacle).unwrap();
        keeper.snapshot(snapshot(version));
        assert_eq!(keeper.settle(), None);
        std::fs::remove_dir(&obstacle).unwrap();
    };
    unsaved(&mut keeper, 5);
    assert_eq!(keeper.save_again(Instant::now() + SAVE_RETRY_INTERVAL), applied(5));

    // Control was restarted meanwhile: 6 may be another change by now.
    unsaved(&mut keeper, 6);
    keeper.hello("n", 1, 1, 0).unwrap();
    assert_eq!(keeper.save_again(Instant::now() + SAVE_RETRY_INTERVAL), None, "nobody knows who is there");
    assert_eq!(keeper.kept_version, 6);
    linked(&mut keeper, &authority, 2);
    assert_eq!(keeper.settle(), None);
    keeper.snapshot(snapshot(6));
    assert_eq!(keeper.settle(), applied(6));

    // A welcome saves, too: the one that renews the certificate.
    unsaved(&mut keeper, 7);
    let renewal = Welcome { epoch: Some(Epoch(1)), ..welcome(&keeper, &authority) };
    keeper.welcome(&renewal).unwrap();
    assert_eq!(keeper.settle(), applied(7));
}

/// A state whose application asks for a service token.
fn asking(version: u64) -> Snapshot {
    let mut asking = snapshot(version);
    asking.apps.values_mut().for_each(|app| app.preauth = Preauth::Oidc);
    let token = testing::service_token(1, None);
    asking.service_tokens.insert(token.id, token);
    asking
}

/// Whether its token lets in, and whether the application is there.
fn lets_in(keeper: &Keeper) -> (bool, bool) {
    let plan = &keeper.handle().current().plan;
    (plan.service_token(testing::service_token(1, None).id).is_some(), plan.host(HOST).is_some())
}

#[test]
fn a_removed_relay_lets_nobody_in_by_right_also_after_a_restart() {
    let (held, authority) = (tempfile::tempdir().unwrap(), testing::Authority::new());
    let mut keeper = load(&held);
    linked(&mut keeper, &authority, 1);
    keeper.snapshot(asking(5));
    assert_eq!(keeper.settle(), applied(5));
    keeper.refused("another link of the same relay took over", false);
    assert_eq!((keeper.settle(), lets_in(&keeper)), (None, (true, true)));

    let before = keeper.handle().current().access();
    keeper.refused("this relay was removed", true);
    assert_eq!(keeper.settle(), None, "that is nothing that control told");
    assert_eq!(lets_in(&keeper), (false, true), "an application that asks nobody is served on");
    assert!(keeper.handle().current().access() > before, "requests in progress are looked at again");
    assert_eq!(lets_in(&load(&held)), (false, true));

    assert_eq!(known(&mut keeper), (0, None), "whoever adds it again tells it everything");
    linked(&mut keeper, &authority, 1);
    assert!(keeper.delta(&app_put(6, "http://127.0.0.1:6060/")).is_some());
    keeper.snapshot(asking(6));
    assert_eq!((keeper.settle(), lets_in(&keeper)), (applied(6), (true, true)));
}

#[test]
fn a_removed_relay_lets_nobody_in_though_controls_newest_cannot_be_served_or_saved() {
    let held = tempfile::tempdir().unwrap();
    let mut keeper = load(&held);
    let refuse = |keeper: &mut Keeper, version| {
        keeper.snapshot(asking(version));
        keeper.settle();
        assert!(keeper.delta(&app_put(version + 1, "gopher://nowhere")).is_none());
        assert!(matches!(keeper.settle(), Some(ToControl::Rejected { .. })));
        assert_eq!(lets_in(keeper), (true, true), "the last good one is served");
        keeper.refused("this relay was removed", true);
        keeper.settle();
    };
    refuse(&mut keeper, 5);
    assert_eq!((lets_in(&keeper), keeper.served_version()), ((false, true), 5));
    assert_eq!(lets_in(&load(&held)), (false, true));

    // A change that comes with the news is no way around it.
    keeper.snapshot(asking(7));
    keeper.refused("this relay was removed", true);
    keeper.settle();
    assert_eq!(lets_in(&keeper), (false, true));

    let obstacle = held.path().join("state.sealed.new");
    std::fs::create_dir(&obstacle).unwrap();
    refuse(&mut keeper, 8);
    assert_eq!(lets_in(&keeper), (false, false), "what is on disk is older than what was served");
    std::fs::remove_dir(&obstacle).unwrap();
    keeper.save_again(Instant::now() + SAVE_RETRY_INTERVAL);
    assert_eq!(lets_in(&load(&held)), (false, false));
}
