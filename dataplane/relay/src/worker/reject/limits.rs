//! Answers where an application's own bounds of size or time are exceeded.

use std::borrow::Cow;

use super::Reject;

impl Reject {
    /// The request has, or says that it has, more content than this.
    pub(crate) fn body_too_large(bytes_max: u64) -> Self {
        let detail = format!("This application takes requests with at most {bytes_max} bytes of content.");
        Self { detail: Cow::Owned(detail), ..Self::new(413, "request-body-too-large", "") }
    }

    pub(crate) fn headers_too_large(bytes_max: u32) -> Self {
        let detail = format!("This application takes requests with at most {bytes_max} bytes of header fields.");
        Self { detail: Cow::Owned(detail), ..Self::new(431, "request-headers-too-large", "") }
    }

    pub(crate) fn headers_too_many(count_max: u32) -> Self {
        let detail = format!("This application takes requests with at most {count_max} header fields.");
        Self { detail: Cow::Owned(detail), ..Self::new(431, "request-headers-too-many", "") }
    }

    /// How much is allowed is nobody's business who asks the application for something.
    pub(crate) fn answer_head_too_large() -> Self {
        let detail = "The head of the application's answer was larger than it may be.";
        Self::new(502, "backend-headers-too-large", detail)
    }

    pub(crate) fn total_timeout() -> Self {
        Self::new(504, "total-timeout", "The request and its answer took longer than they may at this application.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_model::codes;

    #[test]
    fn each_is_in_the_catalogue_with_its_status_and_culprit() {
        for (reject, culprit) in [
            (Reject::body_too_large(1), "client"),
            (Reject::headers_too_large(1), "client"),
            (Reject::headers_too_many(1), "client"),
            (Reject::answer_head_too_large(), "backend"),
            (Reject::total_timeout(), "configuration"),
        ] {
            let status = codes::lookup(reject.code).and_then(|entry| entry.status);
            assert_eq!((status, reject.culprit()), (Some(reject.status), culprit), "{}", reject.code);
        }
    }
}
