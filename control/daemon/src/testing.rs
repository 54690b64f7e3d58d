//! What unit tests begin with.

use std::path::Path;

use postern_service::state::StateDir;

use crate::authority::Authority;
use crate::control::Control;
use crate::store::{SqliteStore, Store as _};

/// A control with nothing in it but what a new one has, whose state is in this folder.
pub(crate) fn control(folder: &Path) -> Control {
    let state = StateDir::open(folder).unwrap();
    let mut store = SqliteStore::open(&folder.join("control.db")).unwrap();
    assert!(store.load().unwrap().is_none(), "it begins");
    let authority = Authority::open(&state, false).unwrap();
    Control::open(authority, Box::new(store), folder.to_owned()).unwrap()
}
