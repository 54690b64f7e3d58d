//! SCIM 2.0 (RFC 7643, RFC 7644): how an identity provider's users and groups are written, asked for and changed. Bytes and
//! JSON become values of the directory here, or a refusal in the protocol's own form; what is done with them is control's.

mod discovery;
mod error;
mod filter;
mod group;
mod json;
mod message;
mod patch;
mod token;
mod user;

pub use discovery::{resource_type, resource_types, schema, schemas, service_provider_config};
pub use error::{ScimError, ScimType};
pub use filter::{AttributePath, Filter, Literal, Operator, PatchPath};
pub use group::{GroupChange, GroupInput, MemberId, MemberSet, group_json};
pub use json::{Meta, Projection, list_json};
pub use message::{Answer, Call, Verb};
pub use patch::{Operation, PatchOp, apply};
pub use token::PresentedScimToken;
pub use user::{UserInput, user_json};

/// Schema of users.
pub const USER_SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// Schema of what enterprises know of users.
pub const ENTERPRISE_SCHEMA: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
/// Schema of groups.
pub const GROUP_SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// What the client calls a resource.
pub const EXTERNAL_ID_BYTES_MAX: usize = 256;
/// A filter or a path as text.
pub const FILTER_BYTES_MAX: usize = 2_048;
/// Parentheses, `not` and brackets inside each other: what reads and decides a filter recurses as deep.
pub const FILTER_DEPTH_MAX: usize = 16;
/// Tests in one filter: each is decided for every user that is looked at.
pub const FILTER_TESTS_MAX: usize = 32;
/// Operations of one PATCH.
pub const OPERATIONS_MAX: usize = 1_000;
/// Values of one attribute of a user: each is compared with the others when one is added.
pub const VALUES_MAX: usize = 64;
/// The body of a request: a group of 4,000 members, added at once.
pub const BODY_BYTES_MAX: usize = 256 << 10;
/// Where it is served, below the identity's external URL.
pub const PREFIX: &str = "/scim/v2";
