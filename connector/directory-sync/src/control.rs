//! What control is asked, one question at a time; each answer may be a refusal.

use postern_connector::embed::{self, Bounds, ControlClient, Credentials};
use postern_model::directory_sync::Answer;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::Failure;
use crate::limits::{ANSWER_TIMEOUT, CONNECT_TIMEOUT};

/// The way to control.
pub(crate) struct Control(ControlClient);

/// Control did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    #[error("{0}: it is of another version, or the source is gone")]
    Status(embed::Unanswered),
    #[error("{0}")]
    Unheard(embed::Unanswered),
    #[error("{0}")]
    Refused(Failure),
}

impl From<embed::Unanswered> for Unanswered {
    fn from(unanswered: embed::Unanswered) -> Self {
        match unanswered {
            embed::Unanswered::Status(_) => Self::Status(unanswered),
            embed::Unanswered::Unreachable(_) | embed::Unanswered::Malformed(_) => Self::Unheard(unanswered),
        }
    }
}

impl Control {
    pub(crate) fn new(credentials: Credentials) -> Self {
        let (connect_timeout, answer_timeout) = (CONNECT_TIMEOUT, ANSWER_TIMEOUT);
        Self(ControlClient::new(credentials, Bounds { connections_max: 1, connect_timeout, answer_timeout }))
    }

    /// One question, one answer.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        question: &impl Serialize,
    ) -> Result<T, Unanswered> {
        let answer: Answer<T> = self.0.ask(path, question).await?;
        match answer {
            Answer::Done(done) => Ok(done),
            Answer::Refused { code, detail } => Err(Unanswered::Refused(Failure { code, detail })),
        }
    }
}
