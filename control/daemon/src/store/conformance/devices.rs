//! Devices: who has them, how they are found, and that one of another authority is not forgotten.

use postern_model::device::{Approval, Compliance, Device, DeviceSettings};
use postern_model::ids::{DeviceId, Name, SessionId, TenantId, UserId};
use postern_model::policy::{DeviceState, Platform, Risk};

use super::{Open, directory};
use crate::store::{Commit, DeviceChange, DeviceQuery, DirectoryChange, SessionChange, Store, StoredSession};

const TENANT: TenantId = TenantId(1);
const ANNA: UserId = UserId::new(TENANT, 931);
const BERT: UserId = UserId::new(TENANT, 932);

pub(super) fn run(open: Open<'_>) {
    let users = [(931, "d-anna"), (932, "d-bert")];
    let users = users.map(|(seq, login)| DirectoryChange::UserPut(Box::new(directory::user(seq, login))));
    open().commit(&Commit { directory: users.into(), ..Commit::default() }).unwrap();
    they_come_back_and_are_found(open);
    they_are_listed_and_counted(open);
    a_key_is_one_devices(open);
    sessions_remember_theirs_and_time_is_followed(open);
    settings_are_kept(open);
    what_goes_with_an_authority(open);
    what_goes_with_a_user(open);
}

fn name(name: &str) -> Name {
    name.parse().unwrap()
}

fn device(seq: u32, authority: &str, owner: Option<UserId>) -> Device {
    Device {
        id: DeviceId::new(TENANT, seq),
        name: format!("laptop {seq}").parse().unwrap(),
        owner,
        platform: Some(Platform::Linux),
        approval: Approval::Approved,
        compliance: Compliance::Until(500),
        authority: name(authority),
        certificate_sha256: format!("c{seq}"),
        key_sha256: format!("k{seq}"),
        expires_unix: 1_000,
        created_unix: 5,
        seen_unix: None,
    }
}

fn put(device: &Device) -> DirectoryChange {
    DirectoryChange::Device(DeviceChange::Put(Box::new(device.clone())))
}

fn write(store: &mut dyn Store, changes: Vec<DirectoryChange>) -> bool {
    store.commit(&Commit { directory: changes, ..Commit::default() }).is_ok()
}

fn they_come_back_and_are_found(open: Open<'_>) {
    let own = device(1, "own", Some(ANNA));
    let plain = Device {
        platform: None,
        compliance: Compliance::ByAuthority,
        seen_unix: Some(9),
        approval: Approval::Waiting,
        ..device(2, "mdm", None)
    };
    assert!(write(&mut *open(), vec![put(&own), put(&plain)]));
    let mut store = open();
    assert_eq!(store.device(own.id).unwrap(), Some(own.clone()));
    assert_eq!(store.device(plain.id).unwrap(), Some(plain.clone()));
    assert_eq!(store.device(DeviceId::new(TenantId(2), 1)).unwrap(), None);
    assert_eq!(store.devices_of_key(TENANT, "k2").unwrap(), [plain]);
    assert_eq!(store.devices_of_key(TenantId(2), "k1").unwrap(), []);
    let also = Device { key_sha256: "k1".into(), ..device(3, "mdm", None) };
    assert!(write(&mut *store, vec![put(&also)]));
    assert_eq!(store.devices_of_key(TENANT, "k1").unwrap(), [own.clone(), also], "of both authorities");
    for compliance in [Compliance::No, Compliance::Yes, Compliance::ByAuthority, Compliance::Until(700)] {
        let changed = Device { compliance, owner: Some(BERT), certificate_sha256: "c1b".into(), ..own.clone() };
        assert!(write(&mut *store, vec![put(&changed)]));
        assert_eq!(store.device(own.id).unwrap(), Some(changed));
    }
    let seen = |at| DirectoryChange::Device(DeviceChange::Seen(own.id, at));
    assert!(write(&mut *store, vec![put(&own), seen(70), seen(60)]));
    assert_eq!(store.device(own.id).unwrap().unwrap().seen_unix, Some(70), "the latest");
}

fn they_are_listed_and_counted(open: Open<'_>) {
    let mut store = open();
    assert!(write(&mut *store, vec![put(&Device { approval: Approval::Removed, ..device(3, "mdm", None) })]));
    let all = DeviceQuery { tenant: TENANT, owner: None, approval: None, after: 0, limit: 10 };
    let mut listed = |query: DeviceQuery| -> Vec<u32> {
        store.devices(&query).unwrap().iter().map(|device| device.id.seq).collect()
    };
    assert_eq!(listed(all.clone()), [1, 2], "without those that were removed");
    assert_eq!(listed(DeviceQuery { approval: Some(Approval::Removed), ..all.clone() }), [3]);
    assert_eq!(listed(DeviceQuery { approval: Some(Approval::Waiting), ..all.clone() }), [2]);
    assert_eq!(listed(DeviceQuery { owner: Some(ANNA), ..all.clone() }), [1]);
    assert_eq!(listed(DeviceQuery { after: 1, ..all.clone() }), [2]);
    assert_eq!(listed(DeviceQuery { limit: 1, ..all.clone() }), [1]);
    assert_eq!(listed(DeviceQuery { tenant: TenantId(2), ..all }), [0; 0]);
    let mut count = |owner| store.device_count(TENANT, owner).unwrap();
    assert_eq!((count(None), count(Some(ANNA)), count(Some(BERT))), (2, 1, 0), "without those that were removed");
    assert_eq!(store.devices_remembered(TENANT).unwrap(), 1);
    assert_eq!(store.devices_remembered(TenantId(2)).unwrap(), 0);
    let owned = Device { approval: Approval::Removed, ..device(3, "mdm", Some(BERT)) };
    assert!(write(&mut *store, vec![put(&owned)]));
    assert_eq!(store.device(owned.id).unwrap().unwrap().owner, Some(BERT), "it may be taken back");
    assert_eq!(store.device_count(TENANT, Some(BERT)).unwrap(), 0);
}

fn a_key_is_one_devices(open: Open<'_>) {
    let twice = Device { key_sha256: "k2".into(), ..device(9, "mdm", None) };
    assert!(!write(&mut *open(), vec![put(&twice)]), "of one authority");
    assert_eq!(open().device(twice.id).unwrap(), None);
}

fn sessions_remember_theirs_and_time_is_followed(open: Open<'_>) {
    let on_first = DeviceId::new(TENANT, 1);
    let session = StoredSession {
        id: SessionId(931),
        user: ANNA,
        browser: [93; 32],
        created_unix: 1,
        authenticated_unix: 1,
        methods: std::collections::BTreeSet::new(),
        provider: None,
        source: None,
        user_agent: String::new(),
        expires_unix: 9_999,
        idle_s: 9_999,
        persistent: false,
        seen_unix: 1,
        risk: Risk::Low,
        device: Some(on_first),
        claimed_device: DeviceState::Compliant,
    };
    let plain = StoredSession {
        id: SessionId(932),
        browser: [94; 32],
        device: None,
        claimed_device: DeviceState::Unknown,
        ..session.clone()
    };
    let sessions = [&session, &plain].map(|session| SessionChange::Put(Box::new(session.clone())));
    open().commit(&Commit { sessions: sessions.into(), ..Commit::default() }).unwrap();
    let mut store = open();
    assert_eq!(store.session(session.id).unwrap(), Some(session));
    assert_eq!(store.session(plain.id).unwrap(), Some(plain));
    let of_all = store.session_users().unwrap();
    assert!(of_all.contains(&(SessionId(931), ANNA, Some(on_first))) && of_all.contains(&(SessionId(932), ANNA, None)));
    // It complies until 500, its certificate ends at 1000; the others have no sessions.
    for (after, until, found) in [(0, 499, 0), (499, 500, 1), (500, 999, 0), (999, 1_000, 1), (1_000, 5_000, 0)] {
        let over = store.devices_over(after, until).unwrap();
        assert_eq!(over, vec![on_first; found], "after {after} until {until}");
    }
}

fn settings_are_kept(open: Open<'_>) {
    assert_eq!(open().device_settings(TENANT).unwrap(), DeviceSettings::default());
    let settings = DeviceSettings { approve_at_once: true, own_days: 7, sign_in: true };
    assert!(write(&mut *open(), vec![DirectoryChange::Device(DeviceChange::SettingsPut(TENANT, settings))]));
    assert_eq!(open().device_settings(TENANT).unwrap(), settings);
    assert_eq!(open().device_settings(TenantId(2)).unwrap(), DeviceSettings::default());
}

fn what_goes_with_an_authority(open: Open<'_>) {
    let mut store = open();
    let blocked = |seq, authority| Device { approval: Approval::Blocked, ..device(seq, authority, None) };
    let all = [
        device(2, "mdm", None),
        blocked(6, "mdm"),
        device(7, "mdm", Some(BERT)),
        Device { compliance: Compliance::No, ..device(8, "mdm", None) },
        Device { compliance: Compliance::Yes, ..device(9, "other", None) },
        blocked(10, "own"),
    ];
    assert!(write(&mut *store, all.iter().map(put).collect()));
    let there = |store: &mut dyn Store| -> Vec<u32> {
        (1..=10).filter(|seq| store.device(DeviceId::new(TENANT, *seq)).unwrap().is_some()).collect()
    };
    assert_eq!(there(&mut *store), [1, 2, 3, 6, 7, 8, 9, 10]);
    let ends = |store: &mut dyn Store, seq| store.device(DeviceId::new(TENANT, seq)).unwrap().unwrap().expires_unix;
    let ended = |at| DirectoryChange::Device(DeviceChange::CertificatesEnded(TENANT, name("mdm"), at));
    assert!(write(&mut *store, vec![ended(700), ended(800)]));
    assert_eq!([7, 9].map(|seq| ends(&mut *store, seq)), [700, 1_000], "of that authority, and never later");
    // What was said of a device stays, should its authority come back: removed, blocked, somebody's, or not compliant.
    let gone = |authority| DirectoryChange::Device(DeviceChange::AuthorityRemoved(TENANT, name(authority)));
    assert!(write(&mut *store, vec![gone("mdm")]));
    assert_eq!(there(&mut *store), [1, 3, 6, 7, 8, 9, 10]);
    assert!(write(&mut *store, vec![gone("own")]));
    assert_eq!(there(&mut *store), [3, 6, 7, 8, 9, 10], "own devices do not come back by themselves");
    let expired = |before| DirectoryChange::Device(DeviceChange::Expired(before));
    assert!(write(&mut *store, vec![put(&device(1, "own", Some(ANNA))), put(&device(2, "mdm", None)), expired(1_000)]));
    assert_eq!(there(&mut *store), [1, 2, 3, 6, 7, 8, 9, 10], "not after that second");
    assert!(write(&mut *store, vec![expired(1_001)]));
    assert_eq!(there(&mut *store), [1, 3, 6, 7, 8, 10], "the others say something, or do not come back");
    for seq in [3, 6, 7, 8, 10] {
        let removed = DirectoryChange::Device(DeviceChange::Removed(DeviceId::new(TENANT, seq)));
        assert!(write(&mut *store, vec![removed]));
    }
    assert_eq!(there(&mut *store), [1]);
}

fn what_goes_with_a_user(open: Open<'_>) {
    let mut store = open();
    assert!(write(&mut *store, vec![put(&device(4, "mdm", Some(ANNA))), put(&device(5, "mdm", Some(BERT)))]));
    assert!(write(&mut *store, vec![DirectoryChange::UserRemoved(ANNA)]));
    assert_eq!(store.device(DeviceId::new(TENANT, 1)).unwrap(), None, "its certificate is of nobody's device any more");
    let kept = store.device(DeviceId::new(TENANT, 4)).unwrap().unwrap();
    assert_eq!((kept.approval, kept.owner), (Approval::Removed, None), "it must not come back as everybody's");
    assert_eq!(store.device(DeviceId::new(TENANT, 5)).unwrap().unwrap().owner, Some(BERT));
    assert!(write(&mut *store, vec![DirectoryChange::UserRemoved(BERT)]));
    assert!(write(&mut *store, vec![DirectoryChange::GroupsRemoved(TenantId(7))]));
    assert_eq!(store.devices_remembered(TENANT).unwrap(), 2, "another tenant's end");
}
