//! New connections to a backend: directly, through a proxy, or to the program itself.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use postern_io::{ConnectOptions, Socket, Stream};

use super::{Pool, Wanted};
use crate::embed;
use crate::failure::{Failed, Fault};
use crate::proxy::Way;
use crate::proxy::ring::{self, Beyond};
use crate::resolve::Names;

impl Pool {
    pub(super) async fn connect_to_any(&self, names: &Names, wanted: Wanted<'_>) -> Result<Stream, Failed> {
        let internal = &self.backend.internal;
        // A program that is a backend itself has no other: it serves nobody's network.
        if let Some(built_in) = &self.built_in {
            return embed::connect(built_in, &self.backend);
        }
        match &self.way {
            Way::Direct => {}
            Way::Through(by) => {
                let patience = self.backend.connect_timeout;
                let beyond = Beyond { host: &internal.host, port: internal.port, tls: self.backend.tls.is_some() };
                let connected = ring::connect(by, names, beyond, patience).await;
                return self.secure(connected.map_err(|failed| Failed::through_proxy(&failed))?, wanted).await;
            }
            Way::Unknown(why) => return Err(Failed::new(Fault::ConfigMissing, &**why).unprocessed()),
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
                Ok(socket) => return self.secure(Stream::plain(socket), wanted).await,
                Err(error) => last = error,
            }
        }
        Err(Failed::connecting(&last))
    }

    async fn secure(&self, stream: Stream, wanted: Wanted<'_>) -> Result<Stream, Failed> {
        let Some(tls) = &self.backend.tls else { return Ok(stream) };
        let config = if wanted.http1 { &tls.http1 } else { &tls.config };
        let secured = stream.start_tls_client(Arc::clone(config), tls.server_name.clone()).await;
        secured.map_err(|error| Failed::handshaking(&error))
    }
}
