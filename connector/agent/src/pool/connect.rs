//! New connections to a backend.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use postern_http::Limits;
use postern_http::h1::{Inbox, ResponseParser};
use postern_io::{ConnectOptions, Socket, Stream, now, timeout};
use postern_model::settings::BackendHttp;

use super::{Acquired, BackendConnection, Counted, Grant, Permit, Pool, Wanted};
use crate::backend::HTTP2;
use crate::embed;
use crate::failure::{Failed, Fault};
use crate::http2::Http2Backend;
use crate::resolve::Names;

impl Pool {
    /// A new connection.
    pub(super) async fn connect(
        self: &Rc<Self>,
        names: &Names,
        permit: Option<Permit>,
        wanted: Wanted<'_>,
    ) -> Result<Acquired, Failed> {
        let _dialling = (self.speaks_http2.get() && !wanted.http1).then(|| Dialling::begin(self));
        let longest = self.backend.connect_timeout;
        let Ok(connected) = timeout(longest, self.connect_to_any(names, wanted)).await else {
            let detail = format!("no connection within {} ms", longest.as_millis());
            return Err(Failed::new(Fault::BackendUnreachable, detail).unprocessed());
        };
        let stream = connected?;
        let http2 = self.backend.http == BackendHttp::H2c || stream.tls().alpn.as_deref() == Some(HTTP2);
        if http2 && !wanted.http1 {
            self.speaks_http2.set(true);
            let connection = Http2Backend::begin(stream, self, permit, Counted::new(&self.counters)).await?;
            let lease = Http2Backend::lease(&connection);
            self.shared.borrow_mut().push(connection);
            return Ok(Acquired::Http2(lease));
        }
        if self.backend.http == BackendHttp::Http2 && !wanted.http1 {
            let detail = "the backend does not choose h2, which backend_http=2 demands";
            return Err(Failed::new(Fault::BackendTls, detail).unprocessed());
        }
        Ok(Acquired::Http1(Box::new(BackendConnection {
            stream,
            inbox: Inbox::default(),
            parser: ResponseParser::new(Limits::default()),
            reused: false,
            busy: false,
            login: wanted.login.cloned(),
            idle_since: now(),
            _counted: Counted::new(&self.counters),
            permit,
        })))
    }

    async fn connect_to_any(&self, names: &Names, wanted: Wanted<'_>) -> Result<Stream, Failed> {
        let internal = &self.backend.internal;
        // A program that is a backend itself has no other: it serves nobody's network.
        if let Some(built_in) = &self.built_in {
            return embed::connect(built_in, &self.backend);
        }
        let addresses = names.addresses(&internal.host).await.map_err(|error| {
            Failed::new(Fault::BackendUnreachable, format!("{} cannot be resolved: {error}", internal.host))
                .unprocessed()
        })?;
        let each = self.backend.connect_timeout / u32::try_from(addresses.len()).unwrap_or(1).max(1);
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in addresses.iter() {
            let options = ConnectOptions { timeout: each, ..ConnectOptions::default() };
            match Socket::connect(SocketAddr::new(*address, internal.port), &options).await {
                Ok(socket) => return self.secure(socket, wanted).await,
                Err(error) => last = error,
            }
        }
        Err(Failed::connecting(&last))
    }

    async fn secure(&self, socket: Socket, wanted: Wanted<'_>) -> Result<Stream, Failed> {
        let Some(tls) = &self.backend.tls else { return Ok(Stream::plain(socket)) };
        let config = if wanted.http1 { &tls.http1 } else { &tls.config };
        Stream::tls_client(socket, Arc::clone(config), tls.server_name.clone())
            .await
            .map_err(|error| Failed::handshaking(&error))
    }
}

/// While a connection is being made that many can share.
struct Dialling(Rc<Pool>);

impl Dialling {
    fn begin(pool: &Rc<Pool>) -> Self {
        pool.dialling.set(true);
        Self(Rc::clone(pool))
    }
}

impl Drop for Dialling {
    fn drop(&mut self) {
        self.0.dialling.set(false);
        self.0.has_room();
        // Whoever still waits makes its own attempt.
        if let Some(waiter) = self.0.next_waiter() {
            match self.0.permit(Wanted::default()) {
                Some(permit) => waiter.send(Grant::Permit(permit)),
                None => self.0.waiters.borrow_mut().push_front(waiter),
            }
        }
    }
}
