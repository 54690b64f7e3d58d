//! Why a sign-in by an external identity provider came to nothing (`control/oidc`).

use super::Code;

/// What is wrong with a token of the provider's.
const TOKEN: Code = Code {
    code: "",
    status: Some(502),
    title: "",
    cause: "",
    cure: "look at the details in the log, then at the provider's settings for this client. Nothing of such a token is believed.",
};

pub(super) const CODES: &[Code] = &[
    Code {
        code: "provider-unreachable",
        status: Some(502),
        title: "The identity provider cannot be reached",
        cause: "Its name does not resolve, nothing accepts the connection, or its certificate is by no authority that is trusted for it.",
        cure: "check from this host that the provider's address answers, and by which authority its certificate is. The log has the address and the error; an authority of your own is set with ca.",
    },
    Code {
        code: "provider-slow",
        status: Some(504),
        title: "The identity provider does not answer in time",
        cause: "It accepted the connection, but sent no whole answer within fetch_timeout_ms.",
        cure: "look at the provider, or raise fetch_timeout_ms.",
    },
    Code {
        code: "provider-failed",
        status: Some(502),
        title: "The identity provider reports a fault of its own",
        cause: "It answered with a status of 500 or more, or with server_error or temporarily_unavailable.",
        cure: "look at the provider's own log. Users can try again.",
    },
    Code {
        code: "provider-answer-invalid",
        status: Some(502),
        title: "The identity provider's answer makes no sense",
        cause: "The answer is larger than allowed, no JSON, or lacks what the standard says it has.",
        cure: "check that the issuer is an OpenID provider, and that no proxy in between answers instead of it.",
    },
    Code {
        code: "provider-misconfigured",
        status: Some(502),
        title: "Identity provider and settings do not fit",
        cause: "The issuer that the provider announces differs from the settings, an endpoint is missing or without TLS, or it does not take the request as it is made.",
        cure: "compare the settings with the provider's /.well-known/openid-configuration. The issuer must be equal to the last slash.",
    },
    Code {
        code: "provider-client-refused",
        status: Some(502),
        title: "The identity provider does not accept this client",
        cause: "Client id or secret is wrong or has expired, or the secret is sent in another way than is registered.",
        cure: "set client id and secret as registered at the provider. If they are right, set client_auth to what is registered there.",
    },
    Code {
        code: "provider-clock-skew",
        status: Some(502),
        title: "The identity provider's clock is wrong, or ours",
        cause: "A token says to be made in the future, or before the sign-in that it belongs to, by more than skew_s.",
        cure: "synchronise both clocks (`chronyc tracking`, `timedatectl`). The log says how far they are apart.",
    },
    Code {
        code: "sign-in-callback-invalid",
        status: Some(400),
        title: "The address is no answer to a sign-in",
        cause: "What the browser brought back has neither code nor error, has a parameter twice, or is too long.",
        cure: "open the application again. If it happens each time, look for a proxy that changes the query.",
    },
    Code {
        code: "sign-in-code-refused",
        status: Some(400),
        title: "The identity provider does not accept the code any more",
        cause: "The code was used before, most often by the browser's Back or Reload, or has expired.",
        cure: "open the application again.",
    },
    Code {
        code: "id-token-malformed",
        title: "The ID token is none, or lacks claims",
        cause: "It is no signed JWT, is of another type, or a claim that each ID token has is missing or not of its form.",
        ..TOKEN
    },
    Code {
        code: "id-token-signature-wrong",
        title: "The ID token is signed by none of the provider's keys",
        cause: "No key of the provider's set verifies it, also not after the set was fetched again, which happens once in 30 s at most.",
        ..TOKEN
    },
    Code {
        code: "id-token-algorithm-refused",
        title: "The ID token is signed by an algorithm that is not allowed",
        cause: "Its header names an algorithm that the settings do not allow; `none` and those with shared secrets never are.",
        ..TOKEN
    },
    Code {
        code: "id-token-expired",
        title: "The ID token has expired",
        cause: "Its end has passed by more than skew_s.",
        ..TOKEN
    },
    Code {
        code: "id-token-audience-wrong",
        title: "The ID token is for another client",
        cause: "Its audience does not name our client id, or it was made for another of several.",
        ..TOKEN
    },
    Code {
        code: "id-token-hash-wrong",
        title: "The ID token does not belong to its access token",
        cause: "Its at_hash is not that of the access token which came with it.",
        ..TOKEN
    },
    Code {
        code: "nonce-mismatch",
        status: Some(400),
        title: "The ID token was made for another sign-in",
        cause: "Its nonce is missing, or not the one that this sign-in sent: a token was replayed or put into it.",
        cure: "open the application again. If it happens again, somebody may be injecting codes: keep the log.",
    },
    Code {
        code: "state-mismatch",
        status: Some(400),
        title: "This browser did not begin this sign-in",
        cause: "The state is missing or another than this browser's: an old page, cookies that were lost, or a link by which somebody wants to sign another person in.",
        cure: "open the application again.",
    },
    Code {
        code: "issuer-mismatch",
        status: Some(400),
        title: "Another identity provider answered than was asked",
        cause: "The issuer in the answer or in the token is not that of the provider, or an answer lacks it that should have it (RFC 9207).",
        cure: "open the application again. If it happens each time, compare the settings' issuer with what the provider sends.",
    },
    Code {
        code: "subject-mismatch",
        status: Some(502),
        title: "The fetched claims are about another user",
        cause: "The provider's userinfo endpoint answered with another sub than the ID token has.",
        cure: "look at the provider. Nothing of it is believed.",
    },
    Code {
        code: "sign-in-stale",
        status: Some(400),
        title: "The sign-in took too long",
        cause: "It was begun more than 15 minutes before the browser came back.",
        cure: "open the application again.",
    },
    Code {
        code: "provider-access-denied",
        status: Some(403),
        title: "The identity provider did not let the user in",
        cause: "The user cancelled the sign-in, or a rule of the provider's forbids it.",
        cure: "ask the provider's administrator which rule it was. The log has the provider's words.",
    },
    Code {
        code: "provider-interaction-required",
        status: Some(403),
        title: "The identity provider wants to ask the user something",
        cause: "The sign-in was to go without questions, and the user is not signed in there, or has to consent or choose.",
        cure: "sign in with questions allowed.",
    },
    Code {
        code: "login-too-old",
        status: Some(403),
        title: "The user signed in at the identity provider too long ago",
        cause: "A fresh sign-in was asked for, and the provider's auth_time is missing or older.",
        cure: "make sure that the provider honours max_age.",
    },
    Code {
        code: "login-too-weak",
        status: Some(403),
        title: "The user signed in at the identity provider less strongly than needed",
        cause: "A class of authentication was asked for, and the provider gave another one.",
        cure: "compare the acr values that are asked for with those that the provider knows.",
    },
    Code {
        code: "login-claim-missing",
        status: Some(403),
        title: "The identity provider does not say who the user is",
        cause: "None of the claims that may name the user is there; email counts only where email_verified is true.",
        cure: "let the provider send one of these claims, or name another in claims.login.",
    },
    Code {
        code: "login-claim-invalid",
        status: Some(403),
        title: "A claim about the user cannot be used",
        cause: "A claim is no login name, mail address, display name or list of groups.",
        cure: "correct the claim at the provider, or name another one in the claim mapping. The log names the claim.",
    },
    Code {
        code: "logout-token-invalid",
        status: Some(400),
        title: "The logout token is none",
        cause: "What was posted to the back-channel logout address is no logout token, or more than two minutes old.",
        cure: "compare both clocks, and the provider's version: it must follow Back-Channel Logout 1.0.",
    },
    Code {
        code: "logout-token-replayed",
        status: Some(400),
        title: "The logout token came before",
        cause: "A token with the same jti was accepted within the last minutes.",
        cure: "nothing needs to be done: the sessions ended the first time.",
    },
];
