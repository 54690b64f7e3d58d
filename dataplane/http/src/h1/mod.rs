//! The HTTP/1.1 codec (RFC 9112): heads are parsed from contiguous bytes, bodies decoded without copying, everything
//! encoded into the caller's buffer.

mod body;
mod chunk;
mod encode;
mod fields;
pub(crate) mod framing;
mod inbox;
mod request;
mod response;
mod section;

pub use body::{BodyDecoder, BodyEvent};
pub use encode::{
    BodyEncoder, CHUNK_END, LengthMismatch, ResponseContext, encode_chunk, encode_chunk_start, encode_continue,
    encode_interim, encode_last_chunk, encode_request, encode_response,
};
pub use inbox::Inbox;
pub use request::RequestParser;
pub(crate) use request::{body, expects_continue, holds_typed_fields};
pub use response::ResponseParser;
