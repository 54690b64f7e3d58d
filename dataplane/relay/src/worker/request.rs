//! One request through the stages, each taking what the one before it made, and what is remembered of it: the same for
//! every version of HTTP.

use std::sync::Arc;

use postern_http::RequestHead;
use postern_io::{now, random_u64, read_clock};
use postern_model::ids::{ConnectorId, RequestId};
use postern_model::plan::PlannedApp;
use postern_tunnel::Detail;

use super::Worker;
use super::authorise::{Stop, Subject, authorise};
use super::bounds::check_head;
use super::challenge;
use super::client::Client;
use super::corporate::corporate;
use super::forward::forward;
use super::recorder::Times;
use super::reject::Reject;
use super::route::route;
use super::session::Session;
use super::throttle::{Admitted, Entrance, throttle};
use super::traced::{Recording, Traced};

/// What there is to say of one request once it is over, whatever became of it.
#[derive(Debug)]
pub(crate) struct Transaction {
    pub(crate) request: RequestId,
    /// The application, once it was known.
    pub(crate) app: Option<Arc<PlannedApp>>,
    /// Who asks, once that was known.
    pub(crate) subject: Option<Subject>,
    /// The corporate network it came from, if the application looks for that.
    pub(crate) network: Option<Arc<str>>,
    /// The connector that was tried last.
    pub(crate) connector: Option<ConnectorId>,
    /// Connectors that were tried.
    pub(crate) attempts: u32,
    /// The status that the client was sent.
    pub(crate) status: Option<u16>,
    /// Content that went to the connector.
    pub(crate) request_bytes: u64,
    /// Content that was written to the client, apart from the relay's own pages.
    pub(crate) response_bytes: u64,
    /// Another protocol was spoken from some point on: how long says nothing of HTTP.
    pub(crate) switched: bool,
    pub(crate) outcome: Outcome,
    /// What the connector says of a failure: for operators, for it may name internal hosts.
    pub(crate) detail: Detail,
    pub(crate) times: Times,
}

/// How a request ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Answered, completely.
    Answered,
    /// Answered by the relay itself.
    Refused(Reject),
    /// The answer cannot be completed for this reason: it must end visibly.
    Cut(Reject),
    /// The client of a WebSocket was told good-bye for this reason.
    Dismissed(Reject),
    /// The client is gone.
    ClientGone,
}

impl Transaction {
    pub(crate) fn begin() -> Self {
        Self {
            request: RequestId(u128::from(random_u64()) << 64 | u128::from(random_u64())),
            app: None,
            subject: None,
            network: None,
            connector: None,
            attempts: 0,
            status: None,
            request_bytes: 0,
            response_bytes: 0,
            switched: false,
            outcome: Outcome::ClientGone,
            detail: Detail::default(),
            times: Times::begin(),
        }
    }

    /// A request that was refused before it was understood.
    pub(crate) fn refused(reject: Reject) -> Self {
        Self { outcome: Outcome::Refused(reject), ..Self::begin() }
    }

    /// A stream to this connector was opened. For the first the clock was read just before.
    pub(crate) fn tries(&mut self, connector: ConnectorId) {
        self.connector = Some(connector);
        self.attempts += 1;
        self.times.opened = if self.attempts == 1 { self.times.decided } else { Some(now()) };
    }

    /// The code of what went wrong, if something did.
    pub(crate) fn code(&self) -> Option<&'static str> {
        match &self.outcome {
            Outcome::Answered => None,
            Outcome::Refused(reject) | Outcome::Cut(reject) | Outcome::Dismissed(reject) => Some(reject.code),
            Outcome::ClientGone => Some(CLIENT_GONE),
        }
    }

    /// Whose fault that is.
    pub(crate) fn culprit(&self) -> &'static str {
        match &self.outcome {
            Outcome::Refused(reject) | Outcome::Cut(reject) | Outcome::Dismissed(reject) => reject.culprit(),
            Outcome::Answered | Outcome::ClientGone => "client",
        }
    }

    /// Everything that counts or records requests does so here.
    pub(crate) fn conclude(&self, worker: &Worker, session: &Session, head: Option<&RequestHead>) {
        let request = self.request;
        match &self.outcome {
            Outcome::Refused(reject) => {
                worker.counters().requests_refused.increment();
                tracing::debug!(%request, code = reject.code, status = reject.status, "refused");
            }
            Outcome::Cut(reject) | Outcome::Dismissed(reject) => {
                tracing::debug!(%request, code = reject.code, "an answer could not be completed");
            }
            Outcome::Answered | Outcome::ClientGone => {}
        }
        worker.counters().requests.increment();
        worker.recorder.record(self, session, head);
    }
}

/// Answers one request: from the application, or with why not.
pub(crate) async fn answer<C: Client>(worker: &Worker, client: &mut C, head: &mut RequestHead) -> Transaction {
    let mut transaction = Transaction::begin();
    let admitted = admitted(worker, client.session(), head, &mut transaction).await;
    let admitted = admitted.and_then(|admitted| {
        check_head(&admitted.app().settings.limits, head)?;
        Ok(admitted)
    });
    transaction.times.decided = Some(read_clock());
    let mut recording = match worker.side.traces().is_on() {
        true => Recording::begin(worker, client.session(), head, &transaction),
        false => None,
    };
    match admitted {
        Ok(admitted) => match &mut recording {
            None => forward(worker, client, admitted, head, &mut transaction).await,
            Some(recording) => {
                // Beside the request: those that nobody looks at, all but few, are no larger for it.
                let mut traced = Traced::new(client, recording);
                Box::pin(forward(worker, &mut traced, admitted, head, &mut transaction)).await;
            }
        },
        Err(reject) => transaction.outcome = Outcome::Refused(reject),
    }
    if let Outcome::Refused(reject) = &mut transaction.outcome {
        if let Some(app) = &transaction.app {
            let signs_in = worker.newest().plan.identity().is_some();
            reject.dress(app, head, client.session().scheme(), signs_in);
        }
        transaction.status = Some(reject.status);
        client.refuse(reject, transaction.request, head);
        if let Some(recording) = &mut recording {
            recording.refused(reject, transaction.request, head);
        }
        if reject.is_answer() {
            transaction.outcome = Outcome::Answered;
        }
    }
    transaction.conclude(worker, client.session(), Some(head));
    if let Some(recording) = recording {
        recording.end(&transaction);
    }
    transaction
}

/// From the head to what is let through. Where only control knows who it is, it is asked, once.
async fn admitted(
    worker: &Worker,
    session: &Session,
    head: &RequestHead,
    transaction: &mut Transaction,
) -> Result<Admitted, Reject> {
    let address = session.address.ip();
    let mut asked = false;
    loop {
        // Anew after control was asked: what was in force before may have been taken back meanwhile.
        let published = worker.published();
        if let Some(answer) = challenge::asked(&published, head, &session.opened_for) {
            return Err(answer);
        }
        let entrance = Entrance { table: &published.limits, address, worker: worker.index, drops: &worker.drops };
        let routed = route(&published.plan, head, &session.opened_for)?;
        transaction.app = Some(Arc::clone(&routed.app));
        let app = routed.app.id;
        let (ask, app) =
            match authorise(routed, head, &published, session, (&mut transaction.subject, &mut transaction.detail)) {
                Ok(permit) => {
                    let network = &mut transaction.network;
                    return corporate(permit, &published.networks, head, address, network)
                        .and_then(|permit| throttle(permit, &entrance, &worker.in_progress));
                }
                Err(Stop::Reject(reject)) => return Err(entrance.turned_away(app, reject)),
                // What control said is forgotten already: the relay knows more sessions than it can.
                Err(Stop::Ask(..)) if asked => return Err(Reject::sign_in_unavailable()),
                Err(Stop::Ask(ask, app)) => (ask, app),
            };
        // Before control has work with it: whoever makes questions up is held back at his source.
        entrance.knock(app.id)?;
        drop(published);
        asked = true;
        let reply = worker.side.calls().call(ask.call()).await;
        if let Some(reject) = ask.answered(reply.as_ref(), &app, &worker.published()) {
            return Err(reject);
        }
    }
}

const CLIENT_GONE: &str = "request-cancelled";
