//! What people meet when they sign in.

use super::Code;

/// Pages of the place to sign in, and of relays about sessions.
pub(super) const CODES: &[Code] = &[
    Code {
        code: "sign-in-request-invalid",
        status: Some(400),
        title: "The sign-in cannot begin",
        cause: "A browser was sent to the place to sign in with a request that no relay makes: another address to return to than the application's, or an application that does not ask who its users are.",
        cure: "open the application itself and not a link to its sign-in page. If that leads here, the application was changed at this moment: try once more.",
    },
    Code {
        code: "sign-in-over",
        status: Some(400),
        title: "This sign-in is over",
        cause: "It took longer than a quarter of an hour, was finished already, or control was restarted meanwhile.",
        cure: "open the application once more.",
    },
    Code {
        code: "sign-in-wrong",
        status: Some(401),
        title: "The user name or the password is not right",
        cause: "There is no such user, the user is disabled, or the password is another one: which of these it is is not told.",
        cure: "try again. An administrator sets a new password with `postern user password LOGIN`, and sees with `postern user show LOGIN` whether the user may sign in.",
    },
    Code {
        code: "sign-in-code-wrong",
        status: Some(401),
        title: "The code is not right",
        cause: "The one-time password is another one, was used already, or the clock of the device that shows it is more than half a minute off. Of recovery codes each is good once.",
        cure: "wait for the next code and type that one. A device that was lost is removed by an administrator with `postern user factor reset LOGIN`.",
    },
    Code {
        code: "sign-in-key-refused",
        status: Some(401),
        title: "The key was not accepted",
        cause: "The security key or passkey is not one of the user's, did not verify who uses it (PIN, fingerprint), belongs to another site, or its answer was changed or used already. The page says which.",
        cure: "try again with the key that was set up. A key that was lost is removed by an administrator with `postern user factor remove LOGIN FACTOR`.",
    },
    Code {
        code: "sign-in-throttled",
        status: Some(429),
        title: "Too many attempts to sign in",
        cause: "Five wrong passwords of one user, or thirty from one address within an hour: each further attempt waits twice as long, up to five minutes.",
        cure: "wait as long as the page says. If it was not you, someone guesses at your password: tell your administrator.",
    },
    Code {
        code: "sign-in-busy",
        status: Some(503),
        title: "Too many people sign in at the moment",
        cause: "More than a hundred sign-ins wait for their password to be verified, which is made slow on purpose.",
        cure: "try again in a few seconds.",
    },
    Code {
        code: "sign-in-unavailable",
        status: Some(503),
        title: "Nobody can sign in at the moment",
        cause: "The place to sign in is not published, no identity process is online, or control cannot be reached. Who is signed in already goes on.",
        cure: "look at `postern identity show` and `postern status`.",
    },
    Code {
        code: "sign-in-failed",
        status: Some(400),
        title: "The sign-in did not succeed",
        cause: "A browser came back from signing in with an answer that does not belong to it: another tab finished first, cookies are blocked, or the answer was used already.",
        cure: "open the application once more. If it happens again, let the browser keep cookies of this site.",
    },
    Code {
        code: "not-assigned",
        status: Some(403),
        title: "You are not assigned to the application",
        cause: "You are signed in, and neither you nor a group that you are in is assigned to this application, or the assignment has expired.",
        cure: "ask your administrator: `postern assign APP --user LOGIN` lets one user in.",
    },
    Code {
        code: "policy-blocked",
        status: Some(403),
        title: "A policy does not allow it",
        cause: "A conditional access policy blocks this user at this application under these circumstances.",
        cure: "ask your administrator, who sees with `postern explain REQUEST_ID` which policy it was, and with `postern policy what-if` why.",
    },
    Code {
        code: "policy-step-up",
        status: Some(403),
        title: "A policy asks for more",
        cause: "A conditional access policy asks for something that the session does not show: a second factor, a newer sign-in, a device that is registered or complies, or terms that were accepted.",
        cure: "sign out and in again with a second factor, or use a device that your organisation knows. `postern policy what-if` shows administrators what is missing.",
    },
    Code {
        code: "sso-too-long",
        status: Some(500),
        title: "The application cannot be told who the user is: it is too much",
        cause: "A header that the application is to be told (sso_headers) would be longer than 4,096 bytes, all of them than 16,384, or the signed assertion than 8,192: most often because the user is in very many groups. Nothing is cut, for a part of a name is another name.",
        cure: "tell it less: postern app set APP --set 'sso_headers=…' with groups-matching or groups-mapped. For the assertion, take the user out of groups.",
    },
    Code {
        code: "sso-unavailable",
        status: Some(503),
        title: "The application cannot be told who the user is at the moment",
        cause: "It wants a signed assertion (sso_assertion), and the relay has no key for that yet, or people sign in nowhere, so that nobody vouches for them.",
        cure: "look at `postern identity show` and `postern status`: the relay must have reached control once since both were upgraded.",
    },
    Code {
        code: "session-ended",
        status: Some(401),
        title: "The session has ended",
        cause: "While the request was in progress its user signed out, was disabled, lost the application, or the session was revoked or expired. A WebSocket is closed with 1008.",
        cure: "open the application once more and sign in. `postern audit list` shows who changed what.",
    },
    Code {
        code: "identity-app-fixed",
        status: Some(409),
        title: "The place to sign in cannot be changed so",
        cause: "The application that people sign in at is served by identity processes alone, stays --preauth passthrough, and has a host of its own. No other application is served by them.",
        cure: "change its address and certificate with `postern identity publish`.",
    },
];
