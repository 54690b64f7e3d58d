//! Passes control's question to the worker that has a tunnel to the connector, and the answer back. The side thread's loop does not
//! wait for it.

use std::time::Duration;

use bytes::Bytes;
use postern_model::check::{CHECK_ANSWER_TIMEOUT_MS, CheckAsked, CheckOutcome, CheckReport};
use postern_model::ids::{AppId, ConnectorId};
use postern_model::link::ToControl;
use postern_model::question::Answer;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Side;
use crate::side::link::Link;
use crate::worker::check::{CheckOrder, CheckReply};
use crate::worker::peers::ToWorker;

impl Side {
    /// Has a connector look at an application.
    pub(super) fn check(&self, id: u64, app: AppId, connector: ConnectorId, asked: &CheckAsked) {
        let Some(control) = self.link.as_ref().map(Link::sender) else { return };
        let asked = self.ask_workers(app, connector, asked);
        tokio::spawn(async move {
            let outcome = match asked {
                Some(asked) => asked.outcome().await,
                None => CheckOutcome::Damaged,
            };
            // Control gives up by itself where the link is gone or full.
            let _ = control.try_send(ToControl::Answer { id, answer: Answer::Check { outcome } });
        });
    }

    fn ask_workers(&self, app: AppId, connector: ConnectorId, asked: &CheckAsked) -> Option<Asked> {
        let asked = serde_json::to_vec(asked).ok()?;
        let (order, answer) = CheckOrder::new(connector, app, Bytes::from(asked))?;
        // Each of them, also after one that could not be.
        let untold = self.workers.iter().filter(|worker| worker.send(ToWorker::Check(order.clone())).is_err()).count();
        let all_told = untold == 0;
        Some(Asked { answer, all_told })
    }
}

/// A question that the workers have.
struct Asked {
    answer: oneshot::Receiver<CheckReply>,
    /// None of them was too busy to be told, who may have the tunnel.
    all_told: bool,
}

impl Asked {
    async fn outcome(self) -> CheckOutcome {
        match timeout(Duration::from_millis(CHECK_ANSWER_TIMEOUT_MS), self.answer).await {
            Err(_) => CheckOutcome::Late,
            Ok(Err(_)) if self.all_told => CheckOutcome::NotHere,
            Ok(Err(_) | Ok(CheckReply::Busy)) => CheckOutcome::Busy,
            Ok(Ok(CheckReply::TooOld)) => CheckOutcome::TooOld,
            Ok(Ok(CheckReply::Found(found))) => serde_json::from_slice::<CheckReport>(&found)
                .map_or(CheckOutcome::Damaged, |report| CheckOutcome::Found { report: report.bounded() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn of(reply: Option<CheckReply>) -> CheckOutcome {
        let (sender, receiver) = oneshot::channel();
        match reply {
            Some(reply) => sender.send(reply).unwrap(),
            None => drop(sender),
        }
        Asked { answer: receiver, all_told: true }.outcome().await
    }

    #[tokio::test]
    async fn every_end_of_a_question_is_told_apart() {
        assert_eq!(of(None).await, CheckOutcome::NotHere);
        assert_eq!(of(Some(CheckReply::TooOld)).await, CheckOutcome::TooOld);
        assert_eq!(of(Some(CheckReply::Busy)).await, CheckOutcome::Busy);
        let (_, untold) = oneshot::channel();
        let untold = Asked { answer: untold, all_told: false };
        assert_eq!(untold.outcome().await, CheckOutcome::Busy, "a worker that may have the tunnel could not be told");
        let found = |text: &'static str| Some(CheckReply::Found(Bytes::from_static(text.as_bytes())));
        assert_eq!(of(found("nonsense")).await, CheckOutcome::Damaged);
        let report = CheckReport::default();
        assert_eq!(of(found(r#"{"steps":[]}"#)).await, CheckOutcome::Found { report });
    }

    #[tokio::test(start_paused = true)]
    async fn a_connector_that_never_answers_is_late() {
        let (_sender, receiver) = oneshot::channel();
        assert_eq!(Asked { answer: receiver, all_told: true }.outcome().await, CheckOutcome::Late);
    }
}
