//! The real binary, seen from outside. One test binary, because linking is slower than running.

mod scenarios {
    include!(concat!(env!("OUT_DIR"), "/scenarios.rs"));
}
