//! Second factors: what is good once is so in every store.

use postern_model::ids::{TenantId, UserId};
use zeroize::Zeroizing;

use super::{Open, directory};
use crate::store::factors::{FactorChange, StoredFactors, StoredKey, StoredTotp, TotpSecret};
use crate::store::{Commit, DirectoryChange, Store};

const ANNA: UserId = UserId::new(TenantId(1), 901);
const BERT: UserId = UserId::new(TenantId(1), 902);

pub(super) fn run(open: Open<'_>) {
    let users = [(901, "f-anna"), (902, "f-bert")];
    let users = users.map(|(seq, login)| DirectoryChange::UserPut(Box::new(directory::user(seq, login))));
    open().commit(&Commit { directory: users.into(), ..Commit::default() }).unwrap();
    a_step_is_used_once(open);
    a_counter_never_goes_back(open);
    a_recovery_code_is_used_once(open);
    a_failed_use_leaves_nothing(open);
    who_goes_takes_their_factors_along(open);
}

fn write(store: &mut dyn Store, change: FactorChange) -> bool {
    store.commit(&Commit { factors: vec![change], ..Commit::default() }).is_ok()
}

fn totp(step: u64) -> StoredTotp {
    StoredTotp { secret: TotpSecret(Zeroizing::new(vec![7; 20])), step, created_unix: 5 }
}

fn key(credential: u8, counter: u32) -> StoredKey {
    StoredKey {
        credential: vec![credential; 16],
        public_key: vec![1, 2, 3],
        counter,
        name: "blue".parse().unwrap(),
        created_unix: 5,
        used_unix: 6,
    }
}

fn a_step_is_used_once(open: Open<'_>) {
    assert!(write(&mut *open(), FactorChange::TotpPut(ANNA, totp(10))));
    assert_eq!(open().factors(ANNA).unwrap().totp, Some(totp(10)));
    assert!(!write(&mut *open(), FactorChange::TotpUsed(ANNA, 10)), "used already");
    assert!(write(&mut *open(), FactorChange::TotpUsed(ANNA, 12)));
    assert!(!write(&mut *open(), FactorChange::TotpUsed(ANNA, 11)), "older than the last one");
    assert!(!write(&mut *open(), FactorChange::TotpUsed(BERT, 12)), "has none");
    assert_eq!(open().factors(ANNA).unwrap().totp, Some(totp(12)));
}

fn a_counter_never_goes_back(open: Open<'_>) {
    assert!(write(&mut *open(), FactorChange::KeyPut(ANNA, Box::new(key(1, 4)))));
    assert!(!write(&mut *open(), FactorChange::KeyPut(BERT, Box::new(key(1, 4)))), "somebody's already");
    assert_eq!(open().key(&[1; 16]).unwrap(), Some((ANNA, key(1, 4))));
    assert!(!write(&mut *open(), FactorChange::KeyUsed(vec![1; 16], 3, 9)));
    assert!(write(&mut *open(), FactorChange::KeyUsed(vec![1; 16], 5, 9)));
    let used = StoredKey { counter: 5, used_unix: 9, ..key(1, 4) };
    assert_eq!(open().factors(ANNA).unwrap().keys, [used]);
    assert!(write(&mut *open(), FactorChange::KeyRemoved(BERT, vec![1; 16])), "not his: nothing happens");
    assert_eq!(open().factors(ANNA).unwrap().keys.len(), 1);
}

fn a_recovery_code_is_used_once(open: Open<'_>) {
    assert!(write(&mut *open(), FactorChange::RecoveryPut(ANNA, vec![[1; 32], [2; 32]])));
    assert!(open().has_recovery(ANNA, &[1; 32]).unwrap() && !open().has_recovery(BERT, &[1; 32]).unwrap());
    assert!(!write(&mut *open(), FactorChange::RecoveryUsed(BERT, [1; 32])), "not his");
    assert!(write(&mut *open(), FactorChange::RecoveryUsed(ANNA, [1; 32])));
    assert!(!write(&mut *open(), FactorChange::RecoveryUsed(ANNA, [1; 32])));
    assert_eq!(open().factors(ANNA).unwrap().recovery, 1);
    assert!(write(&mut *open(), FactorChange::RecoveryPut(ANNA, vec![[3; 32]])));
    assert!(!open().has_recovery(ANNA, &[2; 32]).unwrap(), "new ones replace the old");
}

fn a_failed_use_leaves_nothing(open: Open<'_>) {
    let both = vec![FactorChange::RecoveryUsed(ANNA, [3; 32]), FactorChange::TotpUsed(ANNA, 1)];
    assert!(open().commit(&Commit { factors: both, ..Commit::default() }).is_err());
    assert!(open().has_recovery(ANNA, &[3; 32]).unwrap());
}

fn who_goes_takes_their_factors_along(open: Open<'_>) {
    let gone = [ANNA, BERT].map(DirectoryChange::UserRemoved);
    open().commit(&Commit { directory: gone.into(), ..Commit::default() }).unwrap();
    assert_eq!(open().factors(ANNA).unwrap(), StoredFactors::default());
    assert_eq!(open().key(&[1; 16]).unwrap(), None);
}
