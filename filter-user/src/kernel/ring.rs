//! The reader of the ring: records in, losses known.

use std::os::fd::{AsFd as _, AsRawFd as _};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aya::maps::{Map, MapData, RingBuf};
use filter_common::record::Header;

use super::error::{Error, Result};

/// CPUs that a kernel can have (`CONFIG_NR_CPUS` of x86-64).
const MOST_CPUS: usize = 8192;

/// What the reader has counted; shared with whoever reports it.
#[derive(Debug, Default)]
pub struct Received {
    /// Records that were decoded, segments only.
    pub segments: AtomicU64,
    /// Records that were decoded, notices only.
    pub notices: AtomicU64,
    /// Records that were not what they should be.
    pub decode_errors: AtomicU64,
    /// Records the kernel numbered that never came: the ring was full.
    pub lost: AtomicU64,
}

/// Where the kernel and the reader stand in the ring.
#[derive(Debug)]
pub struct Positions {
    consumer: NonNull<AtomicU64>,
    producer: NonNull<AtomicU64>,
    page: usize,
}

// SAFETY: two words that the kernel changes, read atomically; the mappings belong to this value.
unsafe impl Send for Positions {}
// SAFETY: as above.
unsafe impl Sync for Positions {}

impl Positions {
    fn of(data: &MapData) -> Result<Self> {
        // SAFETY: a constant of the system.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        let map = |offset: usize| {
            // SAFETY: a fresh read-only mapping of a ring's position page.
            let start = unsafe {
                libc::mmap(
                    std::ptr::null_mut(),
                    page,
                    libc::PROT_READ,
                    libc::MAP_SHARED,
                    data.fd().as_fd().as_raw_fd(),
                    offset as libc::off_t,
                )
            };
            NonNull::new(start.cast::<AtomicU64>())
                .filter(|start| start.as_ptr().cast() != libc::MAP_FAILED)
                .ok_or_else(|| {
                    Error::new("cannot map the ring's positions")
                        .because(std::io::Error::last_os_error())
                })
        };
        Ok(Self { consumer: map(0)?, producer: map(page)?, page })
    }

    /// Bytes that wait to be read.
    pub fn pending(&self) -> u64 {
        // SAFETY: both words are mapped as long as `self` lives.
        let (consumer, producer) = unsafe { (self.consumer.as_ref(), self.producer.as_ref()) };
        let read = consumer.load(Ordering::Acquire);
        producer.load(Ordering::Acquire).saturating_sub(read)
    }
}

impl Drop for Positions {
    fn drop(&mut self) {
        for start in [self.consumer, self.producer] {
            // SAFETY: mapped by `of` with this length.
            unsafe { libc::munmap(start.as_ptr().cast(), self.page) };
        }
    }
}

/// Reads records.
pub struct Reader {
    ring: RingBuf<MapData>,
    /// By CPU, the number of its next record.
    next: Vec<Option<u64>>,
    received: Arc<Received>,
}

impl Reader {
    /// A reader of the ring, and where to see how full it is.
    ///
    /// # Errors
    /// When the map is no ring or cannot be mapped.
    pub fn new(data: MapData, received: Arc<Received>) -> Result<(Self, Positions)> {
        let positions = Positions::of(&data)?;
        let ring = RingBuf::try_from(Map::RingBuf(data))
            .map_err(|e| Error::new("cannot open the ring").because(e))?;
        Ok((Self { ring, next: Vec::new(), received }, positions))
    }

    /// Hands every waiting record on, at most `most`, with the number of records of its CPU that
    /// were lost just before it; returns how many there were.
    pub fn drain(&mut self, most: usize, mut each: impl FnMut(&Header, &[u8], u64)) -> usize {
        let mut count = 0;
        let (mut segments, mut notices, mut errors, mut all_lost) = (0, 0, 0, 0);
        while count < most {
            let Some(item) = self.ring.next() else { break };
            count += 1;
            let decoded = Header::decode(&item);
            let Some((header, payload, next)) = decoded.ok().and_then(|(header, payload)| {
                Some((header, payload, next_of(&mut self.next, header.cpu)?))
            }) else {
                errors += 1;
                continue;
            };
            let expected = next.replace(header.sequence + 1);
            // The first record of a CPU: what came before was another reader's.
            let lost = expected.map_or(0, |expected| header.sequence.saturating_sub(expected));
            all_lost += lost;
            if header.kind == filter_common::record::SEGMENT {
                segments += 1;
            } else {
                notices += 1;
            }
            each(&header, payload, lost);
        }
        if count != 0 {
            self.received.segments.fetch_add(segments, Ordering::Relaxed);
            self.received.notices.fetch_add(notices, Ordering::Relaxed);
            self.received.decode_errors.fetch_add(errors, Ordering::Relaxed);
            self.received.lost.fetch_add(all_lost, Ordering::Relaxed);
        }
        count
    }
}

/// Where the number that a CPU's next record has is kept; `None` for a CPU that no kernel has.
fn next_of(next: &mut Vec<Option<u64>>, cpu: u32) -> Option<&mut Option<u64>> {
    let place = cpu as usize;
    if place >= next.len() && place < MOST_CPUS {
        next.resize(place + 1, None);
    }
    next.get_mut(place)
}
