//! Every metric: name, kind, labels, and what it says. docs/metrics.md lists the same.

/// What sort of number a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until what it counts is made anew.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts of values by size.
    Histogram,
}

/// A metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Def {
    /// Its name, with its unit.
    pub name: &'static str,
    /// What sort of number it is.
    pub kind: Kind,
    /// Names of its labels, in order.
    pub labels: &'static [&'static str],
    /// One sentence, with the unit.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($const:ident $kind:ident $name:literal [$($label:literal),*] $help:literal;)+) => {
        $(
            #[doc = $help]
            pub const $const: Def =
                Def { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };
        )+
        /// Every metric, but for the counters of the sensor, which it names itself.
        pub const ALL: &[Def] = &[$($const),+];
    };
}

metrics! {
    REQUEST_DURATION Histogram "http_server_request_duration_seconds"
        ["http_request_method", "http_route", "http_response_status_code", "api"]
        "Time from the first byte of a request to the first byte of its final response, seconds.";
    REQUEST_BODY Histogram "http_server_request_body_size_bytes"
        ["http_request_method", "http_route", "http_response_status_code", "api"]
        "Size of request bodies on the wire, bytes.";
    RESPONSE_BODY Histogram "http_server_response_body_size_bytes"
        ["http_request_method", "http_route", "http_response_status_code", "api"]
        "Size of response bodies on the wire, bytes.";
    HTTP_SERIES Gauge "weir_http_series" []
        "Label sets of the http_server metrics now.";
    HTTP_OVERFLOW Counter "weir_http_series_overflow_total" []
        "Requests whose route was counted as __other__ because there was no room for a label set.";
    TLS_TURN_DURATION Histogram "weir_tls_turn_duration_seconds" ["api"]
        "Time from the first byte of client data inside TLS to the first byte of server data, seconds.";
    TLS_HANDSHAKE_DURATION Histogram "weir_tls_handshake_duration_seconds" ["api"]
        "Time from the first byte of a ClientHello to the later of the two Finished messages, seconds.";
    TLS_HANDSHAKES Counter "weir_tls_handshakes_total" ["api", "transport", "version", "alpn"]
        "Handshakes of TLS and QUIC, by the version chosen (or offered, where no answer was seen) and \
         the protocol chosen (or offered first).";
    FLOWS Counter "weir_flows_total" ["api", "application", "opening"]
        "Flows that came in and are over, by what they carried and how their TCP connection opened.";
    TCP_HANDSHAKE_DURATION Histogram "weir_tcp_handshake_duration_seconds" ["api"]
        "Time from a client's SYN to its first segment behind the server's answer, seconds.";
    TCP_EVENTS Counter "weir_tcp_events_total" ["api", "event", "side"]
        "What happened in TCP connections that came in and are over, by who did it.";
    PACKETS Counter "weir_packets_total" ["api", "verdict", "reason"]
        "Packets that came in, by what was decided and why.";
    BYTES Counter "weir_bytes_total" ["api", "verdict", "reason"]
        "Bytes that came in, from the Ethernet header on, by what was decided and why.";
    EGRESS_PACKETS Counter "weir_egress_packets_total" ["api"]
        "Packets that left the host from an API.";
    EGRESS_BYTES Counter "weir_egress_bytes_total" ["api"]
        "Bytes that left the host from an API, from the Ethernet header on.";
    KERNEL_EVENTS Counter "weir_kernel_events_total" ["event"]
        "What the kernel half counts about itself, limiter and egress included.";
    POLICY_INFO Gauge "weir_policy_info" ["name", "hash", "generation"]
        "The policy in force; always 1.";
    API_INFO Gauge "weir_api_info" ["api", "owner", "responder", "criticality", "lifecycle"]
        "A declared API; always 1.";
    API_OVERRIDE Gauge "weir_api_override" ["api", "kind"]
        "An order in force at an API beside the policy (shutdown, lockdown, mode, limit); always 1.";
    POLICY_ENTRIES Gauge "weir_policy_entries" ["kind", "state"]
        "Cells of the policy's tables and bans, as desired and as found in the kernel.";
    INTERFACE_GATED Gauge "weir_interface_gated" ["interface"]
        "Whether an interface that is to be gated is: 1 or 0.";
    BANS Gauge "weir_bans" ["origin"]
        "Bans in force, placed by an operator or by a detector.";
    MAP_ENTRIES Gauge "weir_map_entries" ["map"]
        "Entries in use of a kernel table.";
    MAP_CAPACITY Gauge "weir_map_capacity" ["map"]
        "Entries that a kernel table has room for.";
    MAP_INSERT_FAILURES Counter "weir_map_insert_failures_total" ["map"]
        "Entries for which a kernel table had no room: bans refused, sources without a limit of their \
         own, records dropped.";
    MAP_EVICTIONS Counter "weir_map_evictions_total" ["map"]
        "Entries of a kernel table that made room for others: idle sources of the limiter, UDP flows \
         whose answer could still come.";
    FEED_SUCCESS Gauge "weir_feed_last_success_timestamp_seconds" ["feed"]
        "When a feed's file was last read and found to say what is in force, seconds since 1970.";
    FEED_STALE Gauge "weir_feed_stale" ["feed"]
        "1 while something else of a feed is in force than its file says, else 0.";
    FEED_ENTRIES Gauge "weir_feed_entries" ["feed"]
        "Prefixes of a feed that are in force.";
    SAMPLES Counter "weir_samples_total" ["outcome"]
        "Segments the sensor was to see: attempted = submitted + dropped + sampled_out; and records \
         read from the ring (received) or not understood (decode_errors).";
    RING_PENDING Gauge "weir_ring_pending_bytes" []
        "Bytes in the ring that were not read yet.";
    SAMPLE_SHARE Gauge "weir_sample_ratio" []
        "Share of flows that are sampled now, 0 to 1.";
    COMPLETENESS Gauge "weir_telemetry_completeness_ratio" []
        "Share of the sampled telemetry that was not lost lately, 0 to 1.";
    ROUTES Gauge "weir_routes" []
        "Distinct routes known, all APIs together.";
    ROUTES_OVERFLOW Counter "weir_routes_overflow_total" []
        "Requests whose route is __other__ because their API has no room for another.";
    DETECTOR_STATES Gauge "weir_detector_states" ["detector"]
        "Sources or APIs a detector keeps a state of.";
    DETECTOR_EVICTED Counter "weir_detector_evictions_total" ["detector"]
        "States a detector evicted or refused for want of room.";
    COUNTRIES Counter "weir_requests_by_country_total" ["api", "country"]
        "Requests by the country of their source (ISO 3166-1 alpha-2; ZZ: not known); none without a database.";
    FINDINGS Counter "weir_findings_total" ["detector", "severity", "api"]
        "Findings that opened.";
    FINDINGS_OPEN Gauge "weir_findings_open" ["api", "severity"]
        "Findings that are open, but for those that are muted.";
    FINDINGS_MUTED Gauge "weir_findings_muted" ["api", "severity"]
        "Findings that are open and muted: receivers are not told of them.";
    MAINTENANCE Gauge "weir_maintenance" ["api"]
        "1 while an API is being maintained, so that what it does is neither judged nor learned, else 0.";
    ACTIONS Counter "weir_actions_total" ["action", "outcome"]
        "Automatic answers to findings, and bans of networks (escalate), by what became of them.";
    ACTIONS_HELD Gauge "weir_actions_held" []
        "Automatic actions that wait for an operator to approve them.";
    ACTIONS_STOPPED Gauge "weir_actions_stopped" []
        "1 while an operator has stopped all automatic actions, else 0.";
    EVENTS Counter "weir_events_total" ["event", "severity"]
        "Events told.";
    EVENT_LINES Counter "weir_event_lines_total" ["outcome"]
        "Lines of the event file: written, dropped for want of room in memory, or retried after an \
         error of the disk.";
    SINK_EVENTS Counter "weir_sink_events_total" ["sink", "outcome"]
        "Events for a receiver: delivered; retried, each time it did not take them; dropped.";
    SINK_DROPPED Counter "weir_sink_dropped_total" ["sink", "reason"]
        "Events for a receiver that were dropped, by why.";
    SINK_PENDING Gauge "weir_sink_pending" ["sink"]
        "Events that wait for a receiver.";
    SINK_SUCCESS Gauge "weir_sink_last_success_timestamp_seconds" ["sink"]
        "When a receiver last took something, seconds since 1970.";
    ASSESS_LAST Gauge "weir_assess_last_timestamp_seconds" []
        "When a posture report was last kept, seconds since 1970; 0: never.";
    RECORD_LINES Counter "weir_record_lines_total" ["outcome"]
        "Lines of the recording (`--record`): written, or dropped because the disk was too slow or refused \
         them.";
    STORE_FAILURES Counter "weir_store_failures_total" ["file"]
        "Failures to read or write the history (weir.db) or the audit log (audit.jsonl).";
    BUILD_INFO Gauge "weir_build_info" ["version"]
        "The version of weir; always 1.";
}

/// Begins the name of each counter of the sensor; `_total` ends it.
pub const SENSOR_PREFIX: &str = "weir_sensor_";
