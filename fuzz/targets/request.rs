//! The body of a request to the daemon: what is understood is written back the same.
#![no_main]

use std::fmt::Debug;

use filter_user::control::api::{
    ApplyRequest, BanAdd, DiffRequest, ExplainRequest, OrderLift, OrderSet, RollbackRequest,
};
use libfuzzer_sys::fuzz_target;
use serde::{Serialize, de::DeserializeOwned};

fn try_as<T: DeserializeOwned + Serialize + PartialEq + Debug>(body: &[u8]) {
    let Ok(request) = serde_json::from_slice::<T>(body) else { return };
    let written = serde_json::to_vec(&request).expect("writes");
    let again: T = serde_json::from_slice(&written).expect("reads what it wrote");
    assert_eq!(request, again);
}

fuzz_target!(|body: &[u8]| {
    try_as::<ApplyRequest>(body);
    try_as::<BanAdd>(body);
    try_as::<DiffRequest>(body);
    try_as::<ExplainRequest>(body);
    try_as::<OrderLift>(body);
    try_as::<OrderSet>(body);
    try_as::<RollbackRequest>(body);
});
