//! postern-control as a program: started on state folders of its own, asked over its socket, linked to relays that tests play.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails loudly")]

mod access_requests;
mod access_reviews;
mod administration;
mod apply;
mod audit;
mod authority;
mod client_document;
mod clients;
mod devices;
mod directory;
mod directory_document;
mod durability;
mod enrolment;
mod identity_peer;
mod link;
mod logged;
mod networks;
mod out_of_reach;
mod passwords;
mod peer;
mod places;
mod policies;
mod portal;
mod portal_groups;
mod portal_peer;
mod providers;
mod questions;
mod removed;
mod restore;
mod scim;
mod service_tokens;
mod sign_in;
mod sign_in_document;
mod single_sign_on;
mod throttle;
mod traces;
mod world;
