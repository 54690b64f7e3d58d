//! Load, scenarios and peers: what Postern costs beside others. For now it only marks the place.
#![forbid(unsafe_code)]
