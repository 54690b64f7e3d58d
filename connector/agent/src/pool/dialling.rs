//! A new connection: name, address, TLS.

use std::net::IpAddr;
use std::sync::Arc;

use postern_io::{Socket, Stream};

use super::{Pool, Wanted};
use crate::embed;
use crate::failure::{Failed, Fault};
use crate::happy_eyeballs;

impl Pool {
    /// With the address that it leads to, where that is one of a name's.
    pub(super) async fn connect_to_any(&self, wanted: Wanted<'_>) -> Result<(Stream, Option<IpAddr>), Failed> {
        let internal = &self.backend.internal;
        // A program that is a backend itself has no other: it serves nobody's network.
        if let Some(built_in) = &self.built_in {
            return Ok((embed::connect(built_in, &self.backend)?, None));
        }
        let addresses = self.names.addresses(&internal.host).await.map_err(|error| {
            Failed::new(Fault::BackendUnreachable, format!("{} cannot be resolved: {error}", internal.host))
                .unprocessed()
        })?;
        let connected = happy_eyeballs::connect(&addresses, internal.port, self.backend.connect_timeout).await;
        let (socket, peer) = connected.map_err(|error| Failed::connecting(&error))?;
        let is_named = internal.host.parse::<IpAddr>().is_err();
        Ok((self.secure(socket, wanted).await?, is_named.then_some(peer)))
    }

    async fn secure(&self, socket: Socket, wanted: Wanted<'_>) -> Result<Stream, Failed> {
        let Some(tls) = &self.backend.tls else { return Ok(Stream::plain(socket)) };
        if let Some(reason) = tls.own_missing() {
            let detail = format!("the client certificate that is set cannot be shown: {reason}");
            return Err(Failed::new(Fault::BackendTls, detail).unprocessed());
        }
        let config = if wanted.http1 { &tls.http1 } else { &tls.config };
        Stream::tls_client(socket, Arc::clone(config), tls.server_name.clone())
            .await
            .map_err(|error| Failed::handshaking(&error))
    }
}
