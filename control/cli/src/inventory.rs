//! Inventories: what an organisation runs, one application a row, in a sheet that spreadsheet programs open. Read strictly, looked
//! at from this host, made into a document for `apply`. Nothing of them is kept but the files themselves.

pub(crate) mod columns;

mod authentication;
mod check;
mod formula;
mod json;
mod plan;
mod probe;
mod published;
mod quoting;
mod read;
mod sheet;
mod write;

pub(crate) use check::check;
pub(crate) use json::objects;
pub(crate) use plan::{Plan, plan};
pub(crate) use probe::{Looked, probe};
pub(crate) use published::published;
pub(crate) use read::read;
pub(crate) use sheet::{Mistake, Row, Sheet};
pub(crate) use write::csv;

/// Rows of a sheet: as many applications as a tenant has, with room to spare.
pub(crate) const ROWS_MAX: usize = 10_000;
/// A sheet's file: what a document for `apply` may have.
pub(crate) const SHEET_BYTES_MAX: usize = postern_model::document::APPLY_BYTES_MAX;
/// What a cell of the usual spreadsheet programs holds, in characters.
pub(crate) const CELL_CHARS_MAX: usize = 32_767;
/// Mistakes and warnings that are told of one file, of each so many: more are of one cause.
pub(crate) const MISTAKES_MAX: usize = 200;
