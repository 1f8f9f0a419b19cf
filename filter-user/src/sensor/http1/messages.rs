//! What becomes of a connection's messages: their heads, their ends, and their losses.

use super::head::{Length, RequestHead, ResponseHead, Upgrade};
use super::pairing::{Answer, Current, Doubt, Entry, Request};
use super::parser::Framing;
use super::{Connection, Context, MAX_PENDING, Outcome, Piece};

impl Connection {
    /// A head was read: this is HTTP.
    pub(super) fn start(&mut self, context: &mut Context<'_>) {
        if !std::mem::replace(&mut self.started, true) {
            context.stats.http_flows += 1;
        }
    }

    /// A request's head is there.
    pub(super) fn request(
        &mut self,
        head: RequestHead,
        piece: &Piece<'_>,
        context: &mut Context<'_>,
    ) {
        self.start(context);
        let origin = self.client.origin();
        let unsure = self.review_order(&origin, piece.peer);
        let framing = match head.length {
            Length::Unsaid => Framing::Fixed(0),
            Length::Fixed(length) => Framing::Fixed(length),
            Length::Chunked => Framing::Chunked,
            Length::Coded | Length::Conflict => {
                context.stats.length_conflicts += 1;
                self.queue_request(Request {
                    hurt: true,
                    done: true,
                    ..Request::new(head, origin, unsure)
                });
                self.client.seek();
                self.queue_unknown(origin.seq, piece.peer);
                return;
            }
        };
        if self.queue.len() < MAX_PENDING {
            self.queue_request(Request::new(head, origin, unsure));
        } else {
            context.stats.pipeline_limit += 1;
            self.queue_unknown(origin.seq, piece.peer);
        }
        if self.client.begin(framing) {
            self.request_ended(context);
        }
    }

    /// The request at hand has ended.
    pub(super) fn request_ended(&mut self, context: &mut Context<'_>) {
        if let Some(Entry::Request(request)) = self.queue.back_mut()
            && !request.done
        {
            request.body = Some(self.client.body());
            request.done = true;
        }
        self.settle(context);
    }

    /// The request at hand ends before its time.
    pub(super) fn cut_request(&mut self, context: &mut Context<'_>) {
        if let Some(Entry::Request(request)) = self.queue.back_mut()
            && !request.done
        {
            request.body = Some(self.client.body());
            (request.done, request.cut) = (true, true);
            self.client.seek();
        }
        self.settle(context);
    }

    /// Bytes of the client are lost that may hold heads or framing.
    pub(super) fn client_lost(&mut self, peer: Option<u32>, context: &mut Context<'_>) {
        let origin = self.client.origin();
        if self.client.in_head() {
            if let Some(head) = whole_lines(self.client.partial())
                .and_then(|lines| RequestHead::parse(lines, context.secrets))
            {
                self.start(context);
                let unsure = self.review_order(&origin, peer);
                self.queue_request(Request {
                    hurt: true,
                    done: true,
                    ..Request::new(head, origin, unsure)
                });
            }
        } else if let Some(Entry::Request(request)) = self.queue.back_mut()
            && !request.done
        {
            (request.done, request.hurt) = (true, true);
        }
        self.client.seek();
        self.queue_unknown(origin.seq, peer);
        self.settle(context);
    }

    /// A response's head is there; what follows it begins at `end` of the piece.
    pub(super) fn response(
        &mut self,
        head: ResponseHead,
        end: usize,
        context: &mut Context<'_>,
    ) -> Outcome {
        self.start(context);
        let origin = self.server.origin();
        let paired = self.pair(&origin, context);
        if matches!(head.status, 100 | 102..=199) {
            // The final response is still to come.
            self.server.begin(Framing::Fixed(0));
            return Outcome::Goes;
        }
        self.answered = true;
        if !paired {
            context.stats.orphan_responses += 1;
        }
        self.websocket = head.status == 101 && head.upgrade == Upgrade::WebSocket;
        if head.status == 101 && head.upgrade == Upgrade::H2c {
            if !paired {
                self.queue.push_front(Entry::Unknown { seq: None, peer: None });
            }
            return Outcome::Http2(end);
        }
        let asked = match self.queue.front() {
            Some(Entry::Request(request)) if paired => request.head.method.as_str(),
            _ => "",
        };
        let tunnel = asked == "CONNECT" && matches!(head.status, 200..=299);
        let bodiless = asked == "HEAD" || matches!(head.status, 101 | 204 | 304) || tunnel;
        self.current = Some(Current {
            status: Some(head.status),
            time: origin.time,
            content_type: head.content_type,
            orphan: !paired,
        });
        let framing = match head.length {
            _ if bodiless => Framing::Fixed(0),
            Length::Fixed(length) => Framing::Fixed(length),
            Length::Chunked => Framing::Chunked,
            Length::Unsaid | Length::Coded => Framing::UntilClose,
            Length::Conflict => {
                context.stats.length_conflicts += 1;
                self.server_lost(context);
                return Outcome::Goes;
            }
        };
        if self.server.begin(framing) {
            self.response_ended(true, context);
        }
        if tunnel || head.status == 101 { Outcome::Upgraded } else { Outcome::Goes }
    }

    /// The response at hand has ended, as it should or not.
    pub(super) fn response_ended(&mut self, whole: bool, context: &mut Context<'_>) {
        let body = Some(self.server.body());
        self.answer(|current| Answer { body, whole, ..current }, context);
    }

    /// Bytes of the server are lost that may hold heads or framing.
    pub(super) fn server_lost(&mut self, context: &mut Context<'_>) {
        if self.server.in_head() {
            let origin = self.server.origin();
            let head = whole_lines(self.server.partial()).and_then(ResponseHead::parse);
            if let Some(head) = head.filter(|head| !matches!(head.status, 100 | 102..=199))
                && self.pair(&origin, context)
            {
                let (status, time) = (Some(head.status), origin.time);
                let content_type = head.content_type;
                self.current = Some(Current { status, time, content_type, orphan: false });
            }
        }
        self.doubt = Some(match self.current {
            Some(_) => Doubt::Inside,
            None => Doubt::Boundary,
        });
        self.answer(|current| Answer { hurt: true, ..current }, context);
        self.server.seek();
    }

    /// Puts the response at hand to its request.
    pub(super) fn answer(
        &mut self,
        finish: impl FnOnce(Answer) -> Answer,
        context: &mut Context<'_>,
    ) {
        let Some(current) = self.current.take() else { return };
        if !current.orphan
            && let Some(Entry::Request(request)) = self.queue.front_mut()
        {
            let Current { status, time, content_type, .. } = current;
            let (body, whole, hurt) = (None, false, false);
            let answer = Answer { status, time, content_type, body, whole, hurt };
            request.answer = Some(finish(answer));
        }
        self.settle(context);
    }
}

/// The whole lines of an unfinished head; `None` when not even the first is.
fn whole_lines(head: &[u8]) -> Option<&[u8]> {
    memchr::memrchr(b'\n', head).map(|last| &head[..=last])
}
