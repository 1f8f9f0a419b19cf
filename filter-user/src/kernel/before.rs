//! What is said before XDP is attached in a driver: what the attachment does to the link, and which
//! settings of the device make drivers refuse it. The kernel's drivers are the source
//! (drivers/net/ethernet/*, `ndo_bpf`); which of this holds for a device only attaching tells.

use super::attach::Driver;
use super::device::Device;

/// The largest MTU whose packets most drivers put into one page, which XDP in the driver without
/// multi-buffer support needs.
const PAGE_MTU: u32 = 3_498;

/// Drivers that take programs for packets of several buffers, the last of them since Linux 6.4.
const MULTI_BUFFER: [&str; 8] =
    ["bnxt_en", "i40e", "ice", "fsl_enetc", "mlx5_core", "mvneta", "veth", "virtio_net"];
/// Drivers that stop the device and begin anew when the first program comes or the last one goes.
const RESETS: [&str; 12] = [
    "bnxt_en", "i40e", "ice", "igb", "igc", "ixgbe", "ixgbevf", "nfp", "qede", "st_gmac", "tsnep",
    "nicvf",
];
/// Drivers that make their queues anew for it.
const NEW_QUEUES: [&str; 10] = [
    "ena",
    "fsl_enetc",
    "gve",
    "hv_netvsc",
    "mana",
    "mlx4_en",
    "mlx5_core",
    "mvneta",
    "mvpp2",
    "vmxnet3",
];
/// Drivers that keep half of the queues for what programs send.
const HALF_QUEUES: [&str; 2] = ["ena", "gve"];

/// Something to know before a native attachment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concern {
    /// What is so.
    pub finding: String,
    /// What to do about it; empty where there is nothing.
    pub hint: String,
}

/// What attaching in the driver does to the traffic of a device; `None` for drivers that are not
/// known to do anything.
pub fn disturbs(device: &Device) -> Option<&'static str> {
    let driver = device.driver.as_str();
    if RESETS.contains(&driver) {
        return Some("native XDP resets the device: the link may be down for seconds");
    }
    let queues = NEW_QUEUES.contains(&driver);
    queues.then_some("native XDP makes the device's queues anew: packets of that moment are lost")
}

/// What may make the driver of an interface refuse XDP.
pub fn concerns(name: &str, device: &Device) -> Vec<Concern> {
    let mut all = Vec::new();
    let mut note = |finding: String, hint: String| all.push(Concern { finding, hint });
    let driver = device.driver.as_str();
    if device.merges {
        note(
            "large receive offload is on, which keeps XDP out of many drivers".into(),
            format!("`ethtool -K {name} lro off`"),
        );
    }
    if device.mtu > PAGE_MTU && !MULTI_BUFFER.contains(&driver) {
        note(
            format!("packets of this MTU ({}) do not fit into a page", device.mtu),
            "native mode then needs a driver with multi-buffer XDP; generic mode does not".into(),
        );
    }
    if let Some(queues) = device.queues
        && HALF_QUEUES.contains(&driver)
        && queues.used * 2 > queues.most
    {
        let half = queues.most / 2;
        note(
            format!(
                "{} of {} queues are in use, and {driver} takes XDP with half",
                queues.used, queues.most
            ),
            format!("`ethtool -L {name} combined {half}`"),
        );
    }
    all
}

/// Tells the log what is to be known before XDP is attached to an interface; returns the remedies for
/// an error message, should the driver refuse. A generic attachment touches no driver.
pub(super) fn tell(name: &str, driver: Driver) -> Option<String> {
    if driver == Driver::Generic {
        return None;
    }
    // Who does not answer this has nothing to say; attaching tells.
    let device = Device::ask(name).ok()?;
    if let Some(what) = disturbs(&device) {
        tracing::warn!(interface = name, driver = device.driver, "{what}");
    }
    let concerns = concerns(name, &device);
    for Concern { finding, hint } in &concerns {
        tracing::warn!(interface = name, driver = device.driver, "{finding}: {hint}");
    }
    let remedies: Vec<_> = concerns
        .into_iter()
        .map(|concern| format!("{}: {}", concern.finding, concern.hint))
        .collect();
    (!remedies.is_empty()).then(|| remedies.join("; "))
}

#[cfg(test)]
mod tests {
    use super::super::device::Queues;
    use super::*;

    #[test]
    fn rows() {
        let device = |driver: &str, mtu, merges, queues: Option<(u32, u32)>| Device {
            up: true,
            mtu,
            merges,
            driver: driver.into(),
            queues: queues.map(|(used, most)| Queues { used, most }),
        };
        // A device, words of what is told, what the attachment does.
        let rows: [(Device, &[&str], Option<&str>); 9] = [
            (device("veth", 9000, false, None), &[], None),
            (device("virtio_net", 1500, true, None), &["lro off"], None),
            (device("ixgbe", 1500, false, Some((8, 63))), &[], Some("resets")),
            (device("ixgbe", 9000, true, None), &["lro off", "9000"], Some("resets")),
            (device("ena", 1500, false, Some((8, 8))), &["combined 4"], Some("queues anew")),
            (device("ena", 1500, false, Some((4, 8))), &[], Some("queues anew")),
            (device("mlx5_core", 9000, false, Some((8, 8))), &[], Some("queues anew")),
            (device("", 1500, false, None), &[], None),
            (device("new_nic", 4000, false, None), &["4000"], None),
        ];
        for (device, words, disturbed) in rows {
            let told = concerns("eth0", &device);
            assert_eq!(told.len(), words.len(), "{device:?}: {told:?}");
            for (concern, word) in told.iter().zip(words) {
                let text = format!("{} {}", concern.finding, concern.hint);
                assert!(text.contains(word), "{device:?}: {text}");
            }
            let does = disturbs(&device);
            assert_eq!(does.is_some(), disturbed.is_some(), "{device:?}: {does:?}");
            assert!(does.unwrap_or_default().contains(disturbed.unwrap_or_default()), "{does:?}");
        }
    }
}
