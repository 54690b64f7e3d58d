//! What all pages need: the way to control, and what this process knows or holds itself.

use std::time::Duration;

pub(crate) use postern_connector::embed::Unanswered;
use postern_connector::embed::{Bounds, ControlClient, Credentials};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::external::Providers;
use crate::kerberos::Acceptor;

/// The way to control, and what is kept beside it.
pub(crate) struct Control {
    client: ControlClient,
    /// What is known of external providers, for all sign-ins.
    pub(crate) providers: Providers,
    /// What verifies Kerberos tickets, where this process has a key for that.
    pub(crate) acceptor: Option<Acceptor>,
}

impl Control {
    pub(crate) fn new(credentials: Credentials, acceptor: Option<Acceptor>) -> Self {
        Self { client: ControlClient::new(credentials, BOUNDS), providers: Providers::default(), acceptor }
    }

    /// One question, one answer.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        question: &impl Serialize,
    ) -> Result<T, Unanswered> {
        self.client.ask(path, question).await
    }
}

const BOUNDS: Bounds = Bounds {
    // Through one relay control serves sixteen.
    connections_max: 12,
    connect_timeout: Duration::from_secs(5),
    // Passwords wait for their turn for up to five seconds.
    answer_timeout: Duration::from_secs(15),
};
