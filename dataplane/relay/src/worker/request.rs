//! One request through the stages, each taking what the one before it made, and what is remembered of it: the same for
//! every version of HTTP.

use postern_http::RequestHead;
use postern_io::random_u64;
use postern_model::ids::{AppId, ConnectorId, RequestId};

use super::Worker;
use super::authorise::authorise;
use super::client::Client;
use super::forward::forward;
use super::reject::Reject;
use super::route::route;
use super::throttle::throttle;

/// What there is to say of one request once it is over, whatever became of it.
#[derive(Debug)]
pub(crate) struct Transaction {
    pub(crate) request: RequestId,
    /// The application, once it was known.
    pub(crate) app: Option<AppId>,
    /// The connector that was tried last.
    pub(crate) connector: Option<ConnectorId>,
    /// The status that the client was sent.
    pub(crate) status: Option<u16>,
    /// Content that went to the connector.
    pub(crate) request_bytes: u64,
    /// Content that was written to the client, apart from the relay's own pages.
    pub(crate) response_bytes: u64,
    pub(crate) outcome: Outcome,
}

/// How a request ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Answered, completely.
    Answered,
    /// Answered by the relay itself.
    Refused(Reject),
    /// The answer cannot be completed: it must end visibly.
    Cut,
    /// The client is gone.
    ClientGone,
}

impl Transaction {
    pub(crate) fn begin() -> Self {
        Self {
            request: RequestId(u128::from(random_u64()) << 64 | u128::from(random_u64())),
            app: None,
            connector: None,
            status: None,
            request_bytes: 0,
            response_bytes: 0,
            outcome: Outcome::ClientGone,
        }
    }

    /// A request that was refused before it was understood.
    pub(crate) fn refused(reject: Reject) -> Self {
        Self { outcome: Outcome::Refused(reject), ..Self::begin() }
    }

    /// Everything that counts or records requests does so here.
    pub(crate) fn conclude(&self, worker: &Worker) {
        let request = self.request;
        match &self.outcome {
            Outcome::Refused(reject) => {
                worker.counters().requests_refused.increment();
                tracing::debug!(%request, code = reject.code, status = reject.status, "refused");
            }
            Outcome::Cut => tracing::debug!(%request, "an answer could not be completed"),
            Outcome::Answered | Outcome::ClientGone => {}
        }
        worker.counters().requests.increment();
    }
}

/// Answers one request: from the application, or with why not.
pub(crate) async fn answer<C: Client>(
    worker: &Worker,
    client: &mut C,
    head: &mut RequestHead,
    server_name: Option<&str>,
) -> Transaction {
    let mut transaction = Transaction::begin();
    let published = worker.published();
    let admitted = route(&published.plan, head, server_name)
        .inspect(|routed| transaction.app = Some(routed.app.id))
        .and_then(authorise)
        .and_then(|permit| {
            throttle(
                permit,
                &published.limits,
                client.address().ip(),
                worker.index,
                &worker.in_progress,
                &worker.drops,
            )
        });
    drop(published);
    match admitted {
        Ok(admitted) => forward(worker, client, admitted, head, &mut transaction).await,
        Err(reject) => transaction.outcome = Outcome::Refused(reject),
    }
    if let Outcome::Refused(reject) = &transaction.outcome {
        transaction.status = Some(reject.status);
        client.refuse(reject, transaction.request, head);
    }
    transaction.conclude(worker);
    transaction
}
