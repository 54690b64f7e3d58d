//! What the store is asked, beside the snapshot. The snapshot may be held meanwhile.

use postern_model::admin::Problem;
use postern_model::ids::GroupId;

use super::{Control, store_failed};
use crate::clock::now_unix;
use crate::problem::problem;
use crate::store::{Directory, Records, Requests, ScimRows, Sessions, Store, StoreError, TokenRecord};

impl Control {
    /// A token by its id.
    pub(crate) fn token(&self, id: &str) -> Result<Option<TokenRecord>, Problem> {
        self.store.borrow_mut().token(id).map_err(store_failed)
    }

    /// Tokens of a group that can still be used.
    pub(crate) fn tokens_open(&self, group: GroupId) -> Result<u32, Problem> {
        self.store.borrow_mut().tokens_open(group, now_unix()).map_err(store_failed)
    }

    /// Asks the store for `what`.
    pub(crate) fn read<T>(
        &self,
        what: &str,
        ask: impl FnOnce(&mut dyn Store) -> Result<T, StoreError>,
    ) -> Result<T, Problem> {
        let read = ask(&mut **self.store.borrow_mut());
        read.map_err(|error| Problem { detail: format!("{what} cannot be read: {error}"), ..store_failed(error) })
    }

    /// Asks the directory; within a stage, the stage's.
    pub(crate) fn directory<T>(
        &self,
        ask: impl FnOnce(&mut dyn Directory) -> Result<T, StoreError>,
    ) -> Result<T, Problem> {
        self.read("the directory", |store| ask(store))
    }

    /// Asks for what SCIM keeps; within a stage, the stage's.
    pub(crate) fn scim_rows<T>(
        &self,
        ask: impl FnOnce(&mut dyn ScimRows) -> Result<T, StoreError>,
    ) -> Result<T, Problem> {
        ask(&mut **self.store.borrow_mut()).map_err(|error| {
            tracing::error!(%error, "the store failed");
            problem("store-failed", format!("the directory cannot be read: {error}"))
        })
    }

    /// Asks for sessions.
    pub(crate) fn sessions_in_store<T>(
        &self,
        ask: impl FnOnce(&mut dyn Sessions) -> Result<T, StoreError>,
    ) -> Result<T, Problem> {
        self.read("sessions", |store| ask(store))
    }

    /// Asks for access requests.
    pub(crate) fn requests<T>(
        &self,
        ask: impl FnOnce(&mut dyn Requests) -> Result<T, StoreError>,
    ) -> Result<T, Problem> {
        self.read("access requests", |store| ask(store))
    }

    /// Asks the audit log and the sign-in log.
    pub(crate) fn records<T>(
        &self,
        ask: impl FnOnce(&mut dyn Records) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        ask(&mut **self.store.borrow_mut())
    }

    /// Where the state is.
    pub(crate) fn store_description(&self) -> String {
        self.store.borrow().describe()
    }

    /// How large the state is, where that can be said.
    pub(crate) fn store_bytes(&self) -> Option<u64> {
        self.store.borrow().bytes()
    }
}
