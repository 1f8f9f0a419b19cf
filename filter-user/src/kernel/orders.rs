//! Orders about an API that take effect at once and survive apply and restart: shut down, locked
//! down to a group, a tighter limit, another mode.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use filter_common::gcra::Rate;
use filter_common::slot::Slot;
use filter_common::tables::{CONTROL_ORDERS, CONTROL_WORDS, FOREVER, OVERRIDE_AUTOMATIC, Override};

use super::clock;
use super::mapped::Mapped;

/// What is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Nothing passes.
    Shutdown,
    /// Only this group, by stable id, passes.
    Lockdown {
        /// Stable id of the group.
        group: u32,
        /// Made by a detector: a would-drop in monitor mode.
        automatic: bool,
    },
    /// Each source is held to this packet rate on top of the policy's.
    Limit {
        /// The rate.
        rate: Rate,
        /// Made by a detector.
        automatic: bool,
    },
    /// `true`: drops become would-drops; `false`: they do not, whatever the policy says.
    Monitor(bool),
}

impl Order {
    /// Which kind it is.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Shutdown => Kind::Shutdown,
            Self::Lockdown { .. } => Kind::Lockdown,
            Self::Limit { .. } => Kind::Limit,
            Self::Monitor(_) => Kind::Monitor,
        }
    }

    /// Whether a detector made it.
    pub const fn is_automatic(&self) -> bool {
        matches!(self, Self::Lockdown { automatic: true, .. } | Self::Limit { automatic: true, .. })
    }
}

/// Kinds of orders, of which one each can be in force for an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// [`Order::Shutdown`].
    Shutdown,
    /// [`Order::Lockdown`].
    Lockdown,
    /// [`Order::Limit`].
    Limit,
    /// [`Order::Monitor`].
    Monitor,
}

/// Every kind.
const KINDS: [Kind; 4] = [Kind::Shutdown, Kind::Lockdown, Kind::Limit, Kind::Monitor];

/// An order with its end: CLOCK_BOOTTIME in ns, `None` for never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InForce {
    /// What is ordered.
    pub order: Order,
    /// Until when.
    pub until: Option<u64>,
}

/// The orders of all APIs.
pub struct Orders {
    cells: Mapped<Override>,
    control: Mapped<[Slot; CONTROL_WORDS]>,
    changes: AtomicU64,
}

impl Orders {
    pub(super) fn open(cells: Mapped<Override>, control: Mapped<[Slot; CONTROL_WORDS]>) -> Self {
        let orders = Self { cells, control, changes: AtomicU64::new(0) };
        orders.settle();
        orders
    }

    /// Says whether there is any order: without one the packet path looks for none.
    pub fn settle(&self) {
        let now = clock::boot_ns();
        let any = |cell: &Override| KINDS.iter().any(|&kind| until_of(cell, kind).load() > now);
        self.say(self.cells.cells().iter().any(any));
    }

    fn say(&self, any: bool) {
        if let Some(words) = self.control.cells().first() {
            words[CONTROL_ORDERS].store(u64::from(any));
        }
    }

    /// Puts an order in force for an API by stable id; whether there is such a cell. That there is one
    /// is said first, then come its arguments, the time last, so that the packet path never sees half an order.
    pub fn set(&self, api: u32, order: Order, until: Option<u64>) -> bool {
        let Some(cell) = self.cells.cells().get(api as usize) else { return false };
        self.changes.fetch_add(1, Ordering::Relaxed);
        self.say(true);
        write(cell, order, until);
        true
    }

    /// The state with all orders and one that is not in force: for a verdict in userspace.
    pub fn suppose(&self, state: &mut crate::image::view::State, api: u32, order: Order) {
        self.copy_to(state);
        if let Some(cell) = state.overrides.get(api as usize) {
            write(cell, order, None);
        }
    }

    /// Writes an order to the last cell, reads it back and takes it out, for a rehearsal: no packet
    /// looks at a cell that no API has, which all from `free` on are. How long that took.
    ///
    /// # Errors
    /// Why it cannot be done, or that what was read is not what was written.
    pub fn rehearse(&self, free: u32, order: Order) -> Result<Duration, String> {
        let last = self.cells.cells().len().saturating_sub(1) as u32;
        if last < free || last == 0 {
            return Err("every cell for orders belongs to an API: none is free".to_owned());
        }
        let start = Instant::now();
        self.set(last, order, None);
        let read = self.of(last);
        let spent = start.elapsed();
        self.lift(last, order.kind());
        match read[..] {
            [InForce { order: found, until: None }] if found == order => Ok(spent),
            _ => Err(format!("{order:?} was written, and {read:?} was read")),
        }
    }

    /// Ends an order; whether one was in force.
    pub fn lift(&self, api: u32, kind: Kind) -> bool {
        let Some(cell) = self.cells.cells().get(api as usize) else { return false };
        let until = until_of(cell, kind);
        self.changes.fetch_add(1, Ordering::Relaxed);
        let was = in_force(until.load());
        until.store(0);
        self.settle();
        was
    }

    /// How often an order was put in force or lifted since this was opened.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// The orders in force for an API.
    pub fn of(&self, api: u32) -> Vec<InForce> {
        let Some(cell) = self.cells.cells().get(api as usize) else { return Vec::new() };
        KINDS
            .into_iter()
            .filter_map(|kind| {
                let until = until_of(cell, kind).load();
                let until_or_never = Some(until).filter(|&until| until != FOREVER);
                in_force(until).then(|| InForce { order: read(cell, kind), until: until_or_never })
            })
            .collect()
    }

    /// Puts an order of a detector in force, unless one of an operator is: that one stays.
    ///
    /// # Errors
    /// Why not.
    pub fn set_automatic(&self, api: u32, order: Order, until: Option<u64>) -> Result<(), String> {
        let same = |held: &InForce| {
            std::mem::discriminant(&held.order) == std::mem::discriminant(&order)
                && !held.order.is_automatic()
        };
        if self.of(api).iter().any(same) {
            return Err("an operator has ordered one already, and it stays".to_owned());
        }
        if self.set(api, order, until) {
            return Ok(());
        }
        Err("the kernel has no cell for this API".to_owned())
    }

    /// Copies all cells for a verdict in userspace.
    pub fn copy_to(&self, state: &mut crate::image::view::State) {
        for (to, from) in state.overrides.iter_mut().zip(self.cells.cells()) {
            for (to, from) in words(to).into_iter().zip(words(from)) {
                to.store(from.load());
            }
        }
    }
}

fn write(cell: &Override, order: Order, until: Option<u64>) {
    let until = until.unwrap_or(FOREVER);
    match order {
        Order::Shutdown => cell.shutdown_until.store(until),
        Order::Lockdown { group, automatic } => {
            cell.lockdown_group.store(u64::from(group));
            cell.lockdown_flags.store(if automatic { OVERRIDE_AUTOMATIC } else { 0 });
            cell.lockdown_until.store(until);
        }
        Order::Limit { rate, automatic } => {
            // Not in force while its numbers change one by one.
            cell.limit_until.store(0);
            cell.limit_mul.store(rate.mul);
            cell.limit_tau.store(rate.tau);
            cell.limit_ceiling.store(rate.ceiling);
            cell.limit_shift.store(u64::from(rate.shift));
            cell.limit_flags.store(if automatic { OVERRIDE_AUTOMATIC } else { 0 });
            cell.limit_until.store(until);
        }
        Order::Monitor(on) => {
            cell.mode.store(u64::from(on));
            cell.mode_until.store(until);
        }
    }
}

fn in_force(until: u64) -> bool {
    until > clock::boot_ns()
}

fn until_of(cell: &Override, kind: Kind) -> &Slot {
    match kind {
        Kind::Shutdown => &cell.shutdown_until,
        Kind::Lockdown => &cell.lockdown_until,
        Kind::Limit => &cell.limit_until,
        Kind::Monitor => &cell.mode_until,
    }
}

fn read(cell: &Override, kind: Kind) -> Order {
    match kind {
        Kind::Shutdown => Order::Shutdown,
        Kind::Lockdown => Order::Lockdown {
            group: cell.lockdown_group.load() as u32,
            automatic: cell.lockdown_flags.load() & OVERRIDE_AUTOMATIC != 0,
        },
        Kind::Limit => Order::Limit {
            rate: Rate {
                mul: cell.limit_mul.load(),
                tau: cell.limit_tau.load(),
                ceiling: cell.limit_ceiling.load(),
                shift: cell.limit_shift.load() as u32,
                reserved: 0,
            },
            automatic: cell.limit_flags.load() & OVERRIDE_AUTOMATIC != 0,
        },
        Kind::Monitor => Order::Monitor(cell.mode.load() != 0),
    }
}

fn words(cell: &Override) -> [&Slot; 12] {
    [
        &cell.shutdown_until,
        &cell.lockdown_group,
        &cell.lockdown_flags,
        &cell.lockdown_until,
        &cell.mode,
        &cell.mode_until,
        &cell.limit_mul,
        &cell.limit_tau,
        &cell.limit_ceiling,
        &cell.limit_shift,
        &cell.limit_flags,
        &cell.limit_until,
    ]
}
