//! What the sensor counts about itself.

macro_rules! stats {
    ($($(#[doc = $doc:literal])+ $name:ident;)+) => {
        /// Counters since the sensor was made; they only grow.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Stats { $($(#[doc = $doc])+ pub $name: u64,)+ }

        impl Stats {
            /// Every counter with its name, in the order of the fields.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)+].into_iter()
            }
        }
    };
}

stats! {
    /// Records handed in.
    records;
    /// Records that are no segments, or neither TCP nor UDP.
    ignored;
    /// Segments without payload of flows that are not in the table.
    strays;
    /// Times the reader reported lost records.
    losses;
    /// Flows put into the table.
    flows_started;
    /// Flows taken out because they were idle.
    flows_expired;
    /// Flows taken out because the table, or its share for flows without payload, was full.
    flows_evicted;
    /// Flows taken out because fewer are sampled than when they began.
    flows_unsampled;
    /// Segments, or parts of some, that repeat what was there.
    retransmitted;
    /// Segments kept back because one before them, or what they acknowledge, was not there yet.
    held;
    /// Times a flow's segments kept back were let go because a memory bound was reached.
    buffer_limit;
    /// Stretches of bytes given up as lost.
    gaps;
    /// Bytes in them.
    gap_bytes;
    /// Payload bytes of segments of which only the first ones were captured.
    cut_bytes;
    /// Flows that begin with a PROXY header.
    announced_flows;
    /// Flows in which HTTP/1 was found.
    http_flows;
    /// Flows in which HTTP/2 was found.
    http2_flows;
    /// Flows whose first bytes are something else.
    opaque_flows;
    /// HTTP flows that became something else: 101, or a tunnel by CONNECT.
    upgraded_flows;
    /// Transactions handed out.
    transactions;
    /// Transactions handed out of which a loss or broken framing hides something.
    voided;
    /// Transactions handed out whose response was never seen, without a loss that hides it.
    unanswered;
    /// Responses that belong to no request that was seen.
    orphan_responses;
    /// Requests not followed because too many were waiting for their responses.
    pipeline_limit;
    /// Heads longer than what is looked at.
    head_limit;
    /// Heads, chunk sizes or trailers that are not HTTP.
    malformed;
    /// Messages with several lengths that contradict each other.
    length_conflicts;
    /// Times that a frame of HTTP/2 was looked for and found, after a loss or in the middle of a
    /// connection.
    http2_resyncs;
    /// Header blocks with fields that are unknown because what they refer to was not seen.
    http2_unknown;
    /// Responses that HTTP/2 servers announce unasked: not followed.
    http2_pushes;
    /// Requests not followed because too many streams were open.
    http2_stream_limit;
    /// Entries of HPACK tables that were let go because the table is larger than what is kept.
    http2_table_limit;
    /// Flows in which TLS was found.
    tls_flows;
    /// Those of them that were entered behind their handshake.
    tls_joined_late;
    /// TLS handshakes handed out.
    tls_handshakes;
    /// Turns of TLS connections handed out.
    tls_turns;
    /// Records or hellos that are not TLS.
    tls_malformed;
    /// ClientHellos in the format of SSL 2, which are not taken apart.
    tls_old_hellos;
    /// Times a loss hid where records begin, and a segment that begins with one was waited for.
    tls_resynchronised;
    /// Flows in which QUIC was found.
    quic_flows;
    /// QUIC handshakes handed out.
    quic_handshakes;
    /// Initial and Retry packets whose tag is wrong.
    quic_bad_tags;
    /// Initial packets whose frames, or hellos that, are none.
    quic_malformed;
    /// Connections of which no more Initial packets were opened because there were too many.
    quic_limit;
}
