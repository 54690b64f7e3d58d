//! How large an application lets its requests be. Whoever exceeds it is told before anything of the request is passed on.

use postern_http::{BodyKind, RequestHead};
use postern_model::settings::AppLimits;

use super::reject::Reject;

/// Refuses a head that is larger than the application takes, or that announces too much content.
pub(crate) fn check_head(limits: &AppLimits, head: &RequestHead) -> Result<(), Reject> {
    if let Some(most) = limits.request_headers_max
        && head.headers.len() > most as usize
    {
        return Err(Reject::headers_too_many(most));
    }
    if let Some(most) = limits.request_header_bytes_max
        && head.headers.text_bytes() > most as usize
    {
        return Err(Reject::headers_too_large(most));
    }
    match (head.body, limits.request_body_bytes_max) {
        (BodyKind::Length(bytes), Some(most)) if bytes > most => Err(Reject::body_too_large(most)),
        (
            BodyKind::None | BodyKind::Length(_) | BodyKind::Chunked | BodyKind::UntilClose | BodyKind::Upgrade,
            Some(_) | None,
        ) => Ok(()),
    }
}
