//! What follows a finding: the policy's answer, held back by guards. Pure but for the executor it is
//! given.
//!
//! An automatic answer can hurt more than the attack. It is never about a trusted source or a proxy,
//! never on evidence that anyone could have forged, at most one for a finding, at most so many a
//! minute, and it always ends by itself. What was done and what was refused is returned, so that it
//! can be told. Where many sources of one network are banned, the network may be (`escalate`). How a ban or an order gets into the kernel is the [`Executor`]'s.

mod action;
mod crowd;
mod escalate;
mod guard;
mod quota;
mod reach;
mod responder;

pub use action::{Action, Refusal};
pub use crowd::{Crowd, Crowds};
pub use escalate::{Banned, Escalator, LONGEST, Watch, escalation_reason};
pub use guard::{Audience, PolicyGuard};
pub use quota::{Consumer, Exceeded, Quota, Quotas, Used};
pub use reach::{Hit, Reach};
pub use responder::{Executor, Guard, ORDER_TTL, Outcome, Responder, Wanted};
