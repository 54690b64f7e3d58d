//! Two ends in a box.

mod corpus;
mod flow;
mod lifecycle;
mod misbehaviour;
mod model;
mod pair;
