//! What browsers are told when it does not go on.

use postern_model::identity::Refused;

pub(super) fn refused(code: &str, detail: impl Into<String>) -> Refused {
    Refused { code: code.into(), detail: detail.into(), retry_after_s: None }
}

pub(super) fn invalid(detail: &str) -> Refused {
    refused("sign-in-request-invalid", detail)
}

pub(super) fn flow_over() -> Refused {
    refused("sign-in-over", "This sign-in took too long or was used already. Open the application once more.")
}

pub(super) fn wrong() -> Refused {
    refused("sign-in-wrong", "The user name or the password is not right.")
}

pub(super) fn too_many(wait_s: u64) -> Refused {
    let seconds = if wait_s == 1 { "second" } else { "seconds" };
    let detail = format!("Too many attempts. Try again in {wait_s} {seconds}.");
    Refused { retry_after_s: Some(wait_s), ..refused("sign-in-throttled", detail) }
}

pub(super) fn busy() -> Refused {
    refused("sign-in-busy", "Too many people sign in at the moment. Try again in a few seconds.")
}

pub(super) fn internal() -> Refused {
    refused("internal", "Something went wrong. Try again in a moment.")
}
