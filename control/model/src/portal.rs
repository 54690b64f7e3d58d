//! The users' portal ("My Apps"): what the identity process asks control for a browser that is signed in, and what its pages
//! show.

mod device;
mod password;

use serde::{Deserialize, Serialize};

use crate::directory::{Line, LoginName, Principal};
use crate::identity::{ClientInfo, Refused};
use crate::ids::{AccessRequestId, AccessReviewId, AppId, DeviceId, Name, SessionId, UserGroupId};
use crate::secret::SecretText;
use crate::settings::PORTAL_TEXT_BYTES_MAX;

pub use device::{EnrolBy, OwnDevice, OwnDevices};
pub use password::{
    OwnSealing, PASSWORDS_PATH, PasswordAction, PasswordAnswer, PasswordPage, PasswordRequest, PasswordState, PutOwn,
};

/// Begins a sign-in that leads to the portal. Answered by a [`crate::identity::Step`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeginPortal {
    /// Whose users sign in; `default` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// What the browser has of an earlier sign-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser: Option<SecretText>,
    /// Who asks.
    pub client: ClientInfo,
}

/// Something that a user sees or does there. Answered by a [`PortalAnswer`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortalRequest {
    /// What the browser has of its sign-in.
    pub browser: SecretText,
    /// What it is.
    pub action: PortalAction,
}

/// What a user sees or does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum PortalAction {
    /// The applications that they are assigned to.
    Apps {},
    /// An application's icon.
    Icon {
        /// Which.
        app: AppId,
    },
    /// Their sessions.
    Sessions {},
    /// Ends one of their sessions.
    EndSession {
        /// Which.
        session: SessionId,
    },
    /// Ends all of them but this one.
    EndOthers {},
    /// What they may ask for, asked for, and have to decide.
    Requests {},
    /// Asks for an application.
    Ask {
        /// Which.
        app: AppId,
        /// Why, as typed.
        justification: String,
    },
    /// Decides about somebody's request.
    Decide {
        /// Which.
        request: AccessRequestId,
        /// Approved, or denied.
        approve: bool,
        /// What is said to who asked, as typed.
        note: String,
    },
    /// Access reviews that wait for them.
    Reviews {},
    /// Decides about an assignment under review.
    Review {
        /// Which review.
        review: AccessReviewId,
        /// Whose assignment.
        principal: Principal,
        /// Whether it stays.
        keep: bool,
        /// Why, as typed.
        note: String,
    },
    /// Their devices.
    Devices {},
    /// Removes one of them.
    RemoveDevice {
        /// Which.
        device: DeviceId,
    },
    /// The groups that they look after.
    Groups {},
    /// One of them.
    Group {
        /// Which.
        group: UserGroupId,
    },
    /// Puts somebody into one, or takes them out.
    ChangeMember {
        /// Which.
        group: UserGroupId,
        /// Whom, as typed.
        login: String,
        /// Put into it, or taken out.
        joins: bool,
    },
}

/// What comes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum PortalAnswer {
    /// The browser is not signed in, or not any more.
    Nobody {},
    /// There is no such thing, or not for this user.
    Absent {},
    /// What was to be done is done.
    Done {},
    /// It cannot be.
    Refused(Refused),
    /// Applications.
    Apps(Box<Apps>),
    /// An icon.
    Icon {
        /// PNG in base64.
        png: String,
    },
    /// Sessions.
    Sessions(Box<Sessions>),
    /// Access requests.
    Requests(Box<Requests>),
    /// Access reviews.
    Reviews(Box<Reviews>),
    /// Devices.
    Devices(Box<OwnDevices>),
    /// Groups.
    Groups(Box<OwnedGroups>),
    /// A group.
    Group(Box<OwnedGroup>),
}

/// Whose pages they are, and which of them there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visitor {
    /// What they type to sign in.
    pub login: LoginName,
    /// What people call them; may be empty.
    pub display_name: String,
    /// Whose directory, where it is not the only one.
    pub tenant: Name,
    /// Whether there are groups that they look after.
    #[serde(default)]
    pub owns_groups: bool,
}

/// A user's applications.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Apps {
    /// Whose.
    pub visitor: Visitor,
    /// By collection, then by label; those without a collection first.
    pub tiles: Vec<Tile>,
    /// Whether there are more, beyond [`TILES_MAX`].
    pub more: bool,
}

/// One application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tile {
    /// Its id.
    pub app: AppId,
    /// What it is called.
    pub label: String,
    /// Where it leads.
    pub url: String,
    /// The heading it stands under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection: Option<Line<PORTAL_TEXT_BYTES_MAX>>,
    /// Names the icon's content, where it has one: another icon has another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
    /// What is stored of their password, where they enter it themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<PasswordState>,
}

/// A user's sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sessions {
    /// Whose.
    pub visitor: Visitor,
    /// Those that began last first.
    pub sessions: Vec<OwnSession>,
    /// The time of all this, for people to compare.
    pub now_unix: u64,
}

/// One of a user's sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnSession {
    /// Its id.
    pub id: SessionId,
    /// Whether it is the one that asks.
    pub this_one: bool,
    /// When it began.
    pub created_unix: u64,
    /// When it was used last, to some minutes.
    pub seen_unix: u64,
    /// The address that it began at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What the browser called itself.
    pub user_agent: String,
}

/// Access requests, as a user sees them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requests {
    /// Who.
    pub visitor: Visitor,
    /// What they may ask for.
    pub requestable: Vec<Requestable>,
    /// What they asked for, the newest first.
    pub own: Vec<OwnRequest>,
    /// What others ask of them, the oldest first.
    pub to_decide: Vec<ToDecide>,
    /// How many access reviews wait for them.
    #[serde(default)]
    pub reviews: u32,
    /// The time of all this, for people to compare.
    pub now_unix: u64,
}

/// An application that can be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requestable {
    /// Its id.
    pub app: AppId,
    /// What it is called.
    pub label: String,
    /// Whether asking is enough.
    pub at_once: bool,
    /// How long it is given for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lasts_s: Option<u64>,
}

/// One of a user's own requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnRequest {
    /// What the application is called.
    pub app: String,
    /// Why, in their words.
    pub justification: String,
    /// When.
    pub created_unix: u64,
    /// What became of it; `None`: it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<bool>,
    /// When that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_unix: Option<u64>,
    /// What was said about it; may be empty.
    pub note: String,
}

/// A request of somebody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToDecide {
    /// Its id.
    pub id: AccessRequestId,
    /// Who asks: the login name.
    pub user: String,
    /// What the application is called.
    pub app: String,
    /// Why, in their words.
    pub justification: String,
    /// When.
    pub created_unix: u64,
}

/// Access reviews that wait for a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reviews {
    /// Who.
    pub visitor: Visitor,
    /// The oldest first.
    pub reviews: Vec<ReviewToDo>,
    /// The time of all this, for people to compare.
    pub now_unix: u64,
}

/// A review, and what they have to decide in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewToDo {
    /// Its id.
    pub id: AccessReviewId,
    /// What the application is called.
    pub app: String,
    /// Until when it is to be done.
    pub due_unix: u64,
    /// Assignments that nobody decided about.
    pub items: Vec<ReviewItem>,
    /// Whether there are others.
    pub more: bool,
}

/// An assignment under review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewItem {
    /// Who.
    pub principal: Principal,
    /// What people call them: `user/anna`, `group/sales`, `everyone`.
    pub name: String,
    /// When the assignment last let somebody in, to the day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_unix: Option<u64>,
}

/// The groups that a user looks after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnedGroups {
    /// Who.
    pub visitor: Visitor,
    /// By name.
    pub groups: Vec<GroupLine>,
    /// Whether there are others.
    pub more: bool,
}

/// What tells a group from others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupLine {
    /// Its id.
    pub id: UserGroupId,
    /// Its name.
    pub name: Name,
    /// What it is for; may be empty.
    pub description: String,
}

/// A group as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnedGroup {
    /// Who.
    pub visitor: Visitor,
    /// Which.
    pub group: GroupLine,
    /// Whether a rule says who is in it.
    pub by_rule: bool,
    /// Who was put into it, by login name.
    pub members: Vec<LoginName>,
    /// Whether there are others.
    pub more: bool,
    /// Groups in it.
    pub nested: Vec<Name>,
}

/// Applications that one page shows: at about 900 bytes each they fit a message.
pub const TILES_MAX: usize = 1_000;
/// Where the portal is, below the identity's external URL.
pub const PORTAL_PATH: &str = "/";

/// Where control answers what.
pub mod path {
    /// [`super::BeginPortal`] to [`crate::identity::Step`].
    pub const BEGIN: &str = "/v1/portal/begin";
    /// [`super::PortalRequest`] to [`super::PortalAnswer`].
    pub const PORTAL: &str = "/v1/portal";
    /// [`super::PasswordRequest`] to [`super::PasswordAnswer`].
    pub const PASSWORD: &str = "/v1/portal/password";
}
