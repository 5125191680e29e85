/* The echo generator: one thread, epoll, no library.
 *
 * It opens N connections, keeps D messages in flight on each, and checks every echo byte for
 * byte: opcode, lengths, order and payload. Every message differs (its first 16 bytes tell its
 * number and its connection), and every frame is masked with its own key. With --raw there is no
 * handshake, and the peer must return exactly the masked frames: the limit that a bare loop sets.
 *
 * The CPU time of the server's processes (--pid) is read from their CPU clocks at both ends of
 * the measured interval, so it covers exactly the messages that are counted.
 *
 * Prints one line of JSON (result.h). Exit code: 0, or 1 if anything went wrong, or 2 for bad usage.
 * python_generator.py is its slow twin; messages.h says what is sent.
 */
#define _GNU_SOURCE
#include <signal.h>

#include "opening.h"
#include "result.h"

enum { BATCH_BYTES = 256 * 1024 };

struct connection {
    struct link link;
    uint64_t sent, received;          /* messages */
    uint64_t *sent_ns;                /* ring of `inflight` send times */
    int owed;                         /* messages that may be sent now */
    uint8_t header[10];               /* of the frame being received */
    int header_have;
    bool in_payload, in_message, fin;
    uint8_t frame_opcode;
    uint64_t frame_left;              /* payload bytes of the frame still to come */
    size_t message_at;                /* payload bytes of the message already checked */
    uint8_t control[125];
    size_t control_have;
    uint8_t *expected;                /* --raw: the frame that must come back */
};

static struct connection *conns;
static uint8_t *pattern;              /* the payload, before a message is stamped */
static uint8_t *batch;                /* frames being built */
static size_t batch_bytes, frame_bytes;
static uint64_t received_total;
static bool measuring, stopping, closing;

/* Send the messages that are owed, as many in one call as fit the batch. */
static void send_owed(struct connection *c, uint64_t now)
{
    while (c->owed && !c->link.pending_len && !stopping && c->link.fd >= 0) {
        size_t at = 0;
        while (c->owed && at + frame_bytes <= batch_bytes) {
            at += build(batch + at, opt.opcode, pattern, opt.size, message_id(c->link.id, c->sent));
            c->sent_ns[c->sent % (uint64_t)opt.inflight] = now;
            c->sent++;
            c->owed--;
        }
        put(&c->link, batch, at);
    }
}

/* Receiving */

static void message_done(struct connection *c, uint64_t now)
{
    if (measuring)
        record(now - c->sent_ns[c->received % (uint64_t)opt.inflight]);
    c->received++;
    received_total++;
    c->message_at = 0;
    c->owed++;
}

static void take_raw(struct connection *c, const uint8_t *data, size_t length, uint64_t now)
{
    while (length) {
        if (c->received == c->sent) {
            fail(&c->link, &faults.wrong, "%zu bytes that were never sent", length);
            return;
        }
        if (c->message_at == 0)
            build(c->expected, opt.opcode, pattern, opt.size, message_id(c->link.id, c->received));
        size_t count = frame_bytes - c->message_at;
        if (count > length)
            count = length;
        if (memcmp(data, c->expected + c->message_at, count) != 0) {
            fail(&c->link, &faults.wrong, "message %" PRIu64 " came back changed", c->received);
            return;
        }
        c->message_at += count;
        data += count;
        length -= count;
        if (c->message_at == frame_bytes)
            message_done(c, now);
    }
}

/* A whole header is in c->header: check it against RFC 6455 section 5.2. */
static bool begin_frame(struct connection *c, uint64_t length, int extended)
{
    uint8_t opcode = c->header[0] & 15;
    const char *fault = header_fault(c->header, length, extended, false);
    c->fin = c->header[0] & 0x80;
    if (fault)
        fail(&c->link, &faults.protocol, "%s", fault);
    else if (opcode < CLOSE && opcode != (c->in_message ? CONTINUATION : opt.opcode))
        fail(&c->link, &faults.wrong, "opcode %d, sent %d", opcode, opt.opcode);
    else if (opcode < CLOSE && c->received == c->sent)
        fail(&c->link, &faults.wrong, "a message that was never sent");
    else if (opcode < CLOSE && length > opt.size - c->message_at)
        fail(&c->link, &faults.wrong, "message %" PRIu64 " is longer than %zu bytes", c->received, opt.size);
    if (c->link.fd < 0)
        return false;
    c->frame_opcode = opcode;
    c->frame_left = length;
    c->control_have = 0;
    c->in_payload = true;
    return true;
}

static void end_frame(struct connection *c, uint64_t now)
{
    c->in_payload = false;
    c->header_have = 0;
    if (c->frame_opcode == PING) {
        put_control(&c->link, PONG, c->control, c->control_have);
    } else if (c->frame_opcode == CLOSE) {
        c->link.close_seen = true;
        if (!closing && (!stopping || c->received != c->sent))
            fail(&c->link, &faults.lost, "closed by the server with code %d",
                 close_code(c->control, c->control_have));
    } else if (c->frame_opcode != PONG) {
        c->in_message = !c->fin;
        if (c->fin && c->message_at != opt.size)
            fail(&c->link, &faults.wrong, "message %" PRIu64 " has %zu bytes of %zu", c->received,
                 c->message_at, opt.size);
        else if (c->fin)
            message_done(c, now);
    }
}

/* Gather a frame's header; true once it is whole and found good. */
static bool take_header(struct connection *c, const uint8_t **data, size_t *length)
{
    for (;;) {
        int extended = c->header_have < 2 ? 0 : extended_bytes(c->header[1]);
        if (c->header_have == 2 + extended)
            return begin_frame(c, frame_length(c->header, extended), extended);
        if (!*length)
            return false;
        c->header[c->header_have++] = *(*data)++;
        --*length;
    }
}

static void take_frames(struct connection *c, const uint8_t *data, size_t length, uint64_t now)
{
    while (c->link.fd >= 0 && !c->link.close_seen) {
        if (!c->in_payload && !take_header(c, &data, &length))
            return;
        size_t count = c->frame_left < length ? (size_t)c->frame_left : length;
        if (c->frame_opcode >= CLOSE) {
            memcpy(c->control + c->control_have, data, count);
            c->control_have += count;
        } else if (!is_piece(data, count, c->message_at, pattern, opt.size, message_id(c->link.id, c->received))) {
            fail(&c->link, &faults.wrong, "message %" PRIu64 " came back changed", c->received);
            return;
        } else {
            c->message_at += count;
        }
        data += count;
        length -= count;
        c->frame_left -= count;
        if (c->frame_left)
            return;
        end_frame(c, now);
    }
}

static void on_ready(struct connection *c, uint32_t events)
{
    struct link *l = &c->link;
    if ((events & EPOLLOUT) && l->pending_len)
        put_pending(l);
    if (l->fd >= 0 && (events & ~(uint32_t)EPOLLOUT)) {
        ssize_t got = recv(l->fd, scratch, SCRATCH_BYTES, 0);
        if (closing && (got == 0 || is_fatal(got))) {
            faults.unclean_closes++;
            drop(l);
        } else if (got == 0)
            fail(l, &faults.lost, "end of stream");
        else if (is_fatal(got))
            fail(l, &faults.lost, "recv: %s", strerror(errno));
        else if (got > 0 && opt.raw)
            take_raw(c, scratch, (size_t)got, now_ns());
        else if (got > 0)
            take_frames(c, scratch, (size_t)got, now_ns());
        if (l->close_seen)
            drop(l);
    }
    if (l->fd >= 0)
        send_owed(c, now_ns());
}

/* The run */

static void turn(int timeout_ms)
{
    struct epoll_event events[MAX_EVENTS];
    int count = epoll_wait(epoll_fd, events, MAX_EVENTS, timeout_ms);
    for (int i = 0; i < count; i++) {
        struct connection *c = events[i].data.ptr;
        if (c->link.fd >= 0)
            on_ready(c, events[i].events);
    }
}

static void run_until(uint64_t deadline_ns, uint64_t received_limit)
{
    while (alive && received_total < received_limit && now_ns() < deadline_ns)
        turn(wait_ms(deadline_ns, 100));
}

/* Wait for the echoes still under way: each of them is checked too. */
static void drain(void)
{
    stopping = true;
    uint64_t deadline = after_s(opt.drain_s);
    for (;;) {
        uint64_t open = 0;
        for (int i = 0; i < opt.connections; i++)
            open += conns[i].link.fd >= 0 ? conns[i].sent - conns[i].received : 0;
        if (!open || now_ns() >= deadline) {
            if (open)
                note(&faults.unanswered, -1, "%" PRIu64 " messages without an echo", open);
            faults.unanswered = open;
            return;
        }
        turn(20);
    }
}

static void close_all(void)
{
    closing = true;
    for (int i = 0; i < opt.connections; i++) {
        if (conns[i].link.fd >= 0 && opt.raw)
            drop(&conns[i].link);
        else if (conns[i].link.fd >= 0)
            put_close(&conns[i].link);
    }
    uint64_t deadline = after_s(CLOSE_S);
    while (alive && now_ns() < deadline)
        turn(20);
    for (int i = 0; i < opt.connections; i++) {
        faults.unclean_closes += conns[i].link.fd >= 0;
        drop(&conns[i].link);
    }
}

static bool prepare(void)
{
    if (!prepare_dialling())
        return false;
    prepare_links();
    pattern = make_pattern(opt.size);
    uint8_t header[10];
    frame_bytes = put_header(header, opt.opcode, opt.size) + 4 + opt.size;
    batch_bytes = frame_bytes > BATCH_BYTES ? frame_bytes : BATCH_BYTES;
    batch = malloc(batch_bytes);
    conns = calloc((size_t)opt.connections, sizeof *conns);
    for (int i = 0; i < opt.connections; i++) {
        conns[i].link.fd = -1;
        conns[i].owed = opt.inflight;
        conns[i].sent_ns = calloc((size_t)opt.inflight, sizeof *conns[i].sent_ns);
        conns[i].expected = opt.raw ? malloc(frame_bytes) : NULL;
    }
    return true;
}

int main(int argc, char **argv)
{
    parse_options(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    if (!prepare()) {
        fprintf(stderr, "%.40s is not an IPv4 address\n", opt.host);
        return 2;
    }
    bool ready = open_links(&(struct links){conns, sizeof *conns, opt.connections, NULL});
    for (int i = 0; ready && i < opt.connections; i++)
        send_owed(&conns[i], now_ns());
    if (ready)
        run_until(after_s(opt.warmup_s), UINT64_MAX);
    measuring = true;
    uint64_t before = received_total;
    struct mark from = take_mark();
    if (ready)
        run_until(from.wall_ns + (uint64_t)(opt.seconds * 1e9), before + opt.operations);
    struct mark to = take_mark();
    uint64_t count = received_total - before;
    measuring = false;
    drain();
    close_all();
    return print_result(count, from, to, "");
}
