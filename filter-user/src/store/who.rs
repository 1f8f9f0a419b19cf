//! Who changed something.

use serde::{Deserialize, Serialize};

/// A process that changed something, or had it changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Who {
    /// Its user id.
    pub uid: u32,
    /// User id that logged in, which `su` and `sudo` do not change; `None` outside a login.
    pub login_uid: Option<u32>,
    /// Its process id; 0 when it is in another PID namespace.
    pub pid: u32,
    /// Address and port of the SSH client it works for; `None` when it works for none.
    pub ssh: Option<String>,
}
