//! What becomes of a connection's messages: their heads, bodies and ends, and their losses.

use super::head::{Block, Fields};
use super::hpack::Fault;
use super::streams::Stream;
use super::{Connection, Context, LINGER, MAX_STREAMS, frame};

impl Connection {
    /// Part of a header block.
    pub(super) fn block_part(
        &mut self,
        from_client: bool,
        bytes: &[u8],
        last: bool,
        context: &mut Context<'_>,
    ) {
        let side = self.side(from_client);
        let Some(block) = &mut side.block else { return };
        let taken = block.take(bytes, last, &mut side.decoder, from_client, context.secrets);
        context.stats.http2_table_limit += side.decoder.take_cut();
        if let Err(fault) = taken {
            match fault {
                Fault::Malformed => context.stats.malformed += 1,
                Fault::TooLong => context.stats.head_limit += 1,
            }
            block.break_off();
            side.decoder.lose();
            if side.tentative {
                // What was found among other bytes was no frame.
                return self.lost(from_client, context);
            }
        }
        if last {
            self.block_end(from_client, context);
        }
    }

    /// A header block has ended.
    pub(super) fn block_end(&mut self, from_client: bool, context: &mut Context<'_>) {
        let side = self.side(from_client);
        let Some(block) = side.block.take() else { return };
        if !block.broken {
            side.tentative = false;
        }
        let too_many = block.fields.too_many();
        context.stats.head_limit += u64::from(too_many);
        context.stats.http2_unknown += u64::from(block.fields.unknown && !too_many);
        match (block.head.kind, from_client) {
            (frame::PUSH_PROMISE, _) => context.stats.http2_pushes += 1,
            (_, true) => self.client_block(block, context),
            (_, false) => self.server_block(block, context),
        }
    }

    /// The header block at hand ends before its time; what is known of it counts.
    pub(super) fn cut_block(&mut self, from_client: bool, context: &mut Context<'_>) {
        let side = self.side(from_client);
        if let Some(block) = &mut side.block {
            block.break_off();
            side.decoder.lose();
            self.block_end(from_client, context);
        }
    }

    /// A block of the client: the head of a request, or its trailers.
    fn client_block(&mut self, block: Block, context: &mut Context<'_>) {
        let (id, ends) = (block.head.stream, block.ends_stream());
        if let Some(stream) = self.streams.get_mut(id) {
            stream.asked.hurt |= block.broken || block.fields.unknown;
            stream.asked.done |= ends;
            return self.settle(id, context);
        }
        // Streams are opened in the order of their numbers: RFC 9113, 5.1.1. Trailers end the stream
        // and have no pseudo-header fields; after a loss they may be all that is left of a request.
        let head = block.fields.begins || !ends || !self.client.holed;
        if id % 2 == 0 || id <= self.highest || !head {
            return;
        }
        self.highest = id;
        self.let_go_of_stale(context);
        if self.streams.len() >= MAX_STREAMS {
            // One that a loss has touched may be over.
            let Some(oldest) = self.streams.oldest(Stream::is_hurt) else {
                context.stats.http2_stream_limit += 1;
                return;
            };
            self.emit(oldest, context);
        }
        let mut stream = Stream::new(block.time, block.fields, block.broken);
        stream.asked.done = ends;
        self.streams.insert(id, stream);
    }

    /// A block of the server: the head of a response, of an interim one, or trailers.
    fn server_block(&mut self, block: Block, context: &mut Context<'_>) {
        let (id, ends) = (block.head.stream, block.ends_stream());
        let broken = block.broken;
        let Fields { status, content_type, content_length, grpc_status, unknown, .. } =
            block.fields;
        let Some(stream) = self.streams.get_mut(id) else {
            // One that the client has given up may still be answered.
            let unseen = id % 2 == 1 && id > self.highest;
            let heads = status.is_some_and(|status| status >= 200);
            context.stats.orphan_responses += u64::from(heads && unseen);
            return;
        };
        match status {
            // The final response is still to come.
            Some(100..=199) if !ends => return,
            Some(status) if !stream.begun => {
                stream.answer = Some((status, block.time));
                stream.content_type = content_type;
                stream.answered.declared = content_length;
            }
            _ if stream.answer.is_none() => {
                // A head of which the status is not known, or trailers of one that was not seen.
                stream.answered.hurt = true;
                if !ends {
                    // It may be an interim one.
                    stream.doubt = true;
                    return;
                }
                stream.answered.holed = true;
            }
            _ => {}
        }
        stream.begun = true;
        stream.grpc_status = grpc_status.or(stream.grpc_status);
        stream.answered.hurt |= broken || unknown;
        stream.answered.done |= ends;
        self.settle(id, context);
    }

    /// Bytes of a body.
    pub(super) fn body(
        &mut self,
        from_client: bool,
        id: u32,
        bytes: u32,
        ends: bool,
        context: &mut Context<'_>,
    ) {
        let now = self.now;
        let Some(stream) = self.streams.get_mut(id) else { return };
        if stream.touched.is_some() {
            stream.touched = Some(now);
        }
        let half = if from_client { &mut stream.asked } else { &mut stream.answered };
        if half.done {
            return;
        }
        half.body += u64::from(bytes);
        half.done |= ends;
        if !from_client && !stream.begun {
            // Its head was not seen.
            half.holed = true;
            stream.begun = true;
        }
        if ends {
            self.settle(id, context);
        }
    }

    /// One side gives a stream up.
    pub(super) fn reset(&mut self, id: u32, context: &mut Context<'_>) {
        if let Some(stream) = self.streams.get_mut(id) {
            stream.reset = true;
            self.settle(id, context);
        }
    }

    /// Bytes are lost that may hold frames.
    pub(super) fn lost(&mut self, from_client: bool, context: &mut Context<'_>) {
        self.cut_block(from_client, context);
        let side = self.side(from_client);
        side.reader.seek();
        side.decoder.lose();
        (side.holed, side.tentative) = (true, false);
        let now = self.now;
        for stream in self.streams.all_mut() {
            let half = if from_client { &mut stream.asked } else { &mut stream.answered };
            if half.done {
                continue;
            }
            if from_client || stream.begun {
                half.holed = true;
            } else {
                // When its head comes later, nothing of it was lost.
                stream.doubt = true;
            }
            stream.touched = Some(now);
            self.stale.get_or_insert(now.saturating_add(LINGER));
        }
        let over = |stream: &Stream| stream.is_over();
        while let Some(id) = self.streams.oldest(over) {
            self.emit(id, context);
        }
    }

    /// Hands out the streams of which the end seems to have been missed.
    fn let_go_of_stale(&mut self, context: &mut Context<'_>) {
        let now = self.now;
        if self.stale.is_none_or(|due| now < due) {
            return;
        }
        let old = |stream: &Stream| {
            stream.is_hurt() && stream.touched.is_some_and(|at| now.saturating_sub(at) >= LINGER)
        };
        while let Some(id) = self.streams.oldest(old) {
            self.emit(id, context);
        }
        let left = self.streams.oldest(|stream| stream.touched.is_some());
        self.stale = left.map(|_| now.saturating_add(LINGER));
    }

    /// Hands out a transaction once nothing of it is to come.
    fn settle(&mut self, id: u32, context: &mut Context<'_>) {
        if self.streams.get_mut(id).is_some_and(|stream| stream.is_over()) {
            self.emit(id, context);
        }
    }

    /// Hands out a transaction as it is.
    pub(super) fn emit(&mut self, id: u32, context: &mut Context<'_>) {
        let Some(stream) = self.streams.remove(id) else { return };
        if stream.is_hurt() {
            context.stats.voided += 1;
        } else if stream.answer.is_none() {
            context.stats.unanswered += 1;
        }
        context.exchange(stream.into_exchange());
    }
}
