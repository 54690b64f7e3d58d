//! What must hold for any bytes at all. The fuzz targets and the corpus replay call these; none may panic.

pub(crate) mod cookie;
pub(crate) mod recorded;
pub(crate) mod scim;
pub(crate) mod token;
