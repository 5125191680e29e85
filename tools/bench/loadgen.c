/* A WebSocket echo load generator: one thread, epoll, no library.
 *
 * It opens N connections, keeps D messages in flight on each, and checks every echo byte for
 * byte: opcode, lengths, order and payload. Every message differs (its first 16 bytes tell its
 * number and its connection), and every frame is masked with its own key. With --raw there is no
 * handshake, and the peer must return exactly the masked frames: the limit that a bare loop sets.
 *
 * The CPU time of the server's processes (--pid) is read from their CPU clocks at both ends of
 * the measured interval, so it covers exactly the messages that are counted.
 *
 * Prints one line of JSON. Exit code: 0, or 1 if anything went wrong, or 2 for bad usage.
 * python_generator.py is its slow twin; messages.h says what is sent.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "handshake.h"
#include "histogram.h"
#include "messages.h"
#include "options.h"

enum {
    BATCH_BYTES = 256 * 1024,
    MAX_EVENTS = 512,
    CLOSE_S = 2,
};

struct connection {
    int fd;                           /* -1 once lost or closed */
    uint32_t id;
    uint64_t sent, received;          /* messages */
    uint64_t *sent_ns;                /* ring of `inflight` send times */
    int owed;                         /* messages that may be sent now */
    uint8_t header[10];               /* of the frame being received */
    int header_have;
    bool in_payload, in_message, fin;
    bool close_seen;                  /* the server's close frame; the connection is then dropped */
    uint8_t frame_opcode;
    uint64_t frame_left;              /* payload bytes of the frame still to come */
    size_t message_at;                /* payload bytes of the message already checked */
    uint8_t control[125];
    size_t control_have;
    uint8_t *expected;                /* --raw: the frame that must come back */
    uint8_t *pending;                 /* what the kernel did not take yet */
    size_t pending_at, pending_len;
};

static struct connection *conns;
static uint8_t *pattern;              /* the payload, before a message is stamped */
static uint8_t *batch, *scratch;      /* frames being built; bytes just received */
static size_t batch_bytes, frame_bytes;
static int epoll_fd, alive;
static uint64_t received_total;
static bool measuring, stopping, closing;
static uint64_t wrong_echoes, protocol_errors, lost, unanswered, unclean_closes;
static char first_error[256];

static uint64_t now_ns(clockid_t clock)
{
    struct timespec t;
    if (clock_gettime(clock, &t) != 0)
        return 0;
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The CPU time of the server's processes, all threads included. */
static uint64_t server_cpu_ns(void)
{
    uint64_t sum = 0;
    for (int i = 0; i < opt.pids; i++) {
        clockid_t clock;
        if (clock_getcpuclockid(opt.pid[i], &clock) == 0)
            sum += now_ns(clock);
    }
    return sum;
}

static void drop(struct connection *c)
{
    if (c->fd < 0)
        return;
    close(c->fd);
    c->fd = -1;
    alive--;
}

static void fail(struct connection *c, uint64_t *counter, const char *format, ...)
{
    ++*counter;
    if (!first_error[0]) {
        va_list args;
        va_start(args, format);
        int at = snprintf(first_error, sizeof first_error, "connection %u: ", c->id);
        vsnprintf(first_error + at, sizeof first_error - (size_t)at, format, args);
        va_end(args);
    }
    drop(c);
}

/* Sending */

static void watch(struct connection *c, bool writable)
{
    struct epoll_event event = {.events = EPOLLIN | (writable ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
}

static bool is_fatal(ssize_t result)
{
    return result < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR;
}

/* Send bytes on a connection that has nothing pending; keep what the kernel does not take. */
static void put(struct connection *c, const uint8_t *data, size_t length)
{
    ssize_t took = send(c->fd, data, length, MSG_NOSIGNAL);
    if (is_fatal(took)) {
        fail(c, &lost, "send: %s", strerror(errno));
        return;
    }
    size_t done = took < 0 ? 0 : (size_t)took;
    if (done == length)
        return;
    if (!c->pending)
        c->pending = malloc(batch_bytes + CONTROL_BYTES);
    memcpy(c->pending, data + done, length - done);
    c->pending_at = 0;
    c->pending_len = length - done;
    watch(c, true);
}

static void send_pending(struct connection *c)
{
    ssize_t took = send(c->fd, c->pending + c->pending_at, c->pending_len, MSG_NOSIGNAL);
    if (is_fatal(took)) {
        fail(c, &lost, "send: %s", strerror(errno));
        return;
    }
    if (took > 0) {
        c->pending_at += (size_t)took;
        c->pending_len -= (size_t)took;
    }
    if (!c->pending_len)
        watch(c, false);
}

/* Send the messages that are owed, as many in one call as fit the batch. */
static void send_owed(struct connection *c, uint64_t now)
{
    while (c->owed && !c->pending_len && !stopping && c->fd >= 0) {
        size_t at = 0;
        while (c->owed && at + frame_bytes <= batch_bytes) {
            at += build(batch + at, opt.opcode, pattern, opt.size, message_id(c->id, c->sent));
            c->sent_ns[c->sent % (uint64_t)opt.inflight] = now;
            c->sent++;
            c->owed--;
        }
        put(c, batch, at);
    }
}

static void send_control(struct connection *c, uint8_t opcode, const uint8_t *payload, size_t length)
{
    uint8_t frame[CONTROL_BYTES];
    uint32_t key = (uint32_t)mix(now_ns(CLOCK_MONOTONIC));
    size_t at = put_header(frame, opcode, length);
    memcpy(frame + at, &key, 4);
    memcpy(frame + at + 4, payload, length);
    mask(frame + at + 4, length, (uint8_t *)&key);
    at += 4 + length;
    if (c->pending_len && c->pending_at + c->pending_len + at <= batch_bytes + CONTROL_BYTES) {
        memcpy(c->pending + c->pending_at + c->pending_len, frame, at);
        c->pending_len += at;
    } else if (!c->pending_len) {
        put(c, frame, at);
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
            fail(c, &wrong_echoes, "%zu bytes that were never sent", length);
            return;
        }
        if (c->message_at == 0)
            build(c->expected, opt.opcode, pattern, opt.size, message_id(c->id, c->received));
        size_t count = frame_bytes - c->message_at;
        if (count > length)
            count = length;
        if (memcmp(data, c->expected + c->message_at, count) != 0) {
            fail(c, &wrong_echoes, "message %" PRIu64 " came back changed", c->received);
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
    c->fin = c->header[0] & 0x80;
    if (c->header[0] & 0x70)
        fail(c, &protocol_errors, "reserved bits are set");
    else if (c->header[1] & 0x80)
        fail(c, &protocol_errors, "a server's frame is masked");
    else if ((extended == 2 && length < 126) || (extended == 8 && length < 65536))
        fail(c, &protocol_errors, "length %" PRIu64 " is not in its shortest form", length);
    else if (opcode >= CLOSE && (opcode > PONG || !c->fin || length > 125))
        fail(c, &protocol_errors, "bad control frame");
    else if (opcode < CLOSE && opcode != (c->in_message ? CONTINUATION : opt.opcode))
        fail(c, &wrong_echoes, "opcode %d, sent %d", opcode, opt.opcode);
    else if (opcode < CLOSE && c->received == c->sent)
        fail(c, &wrong_echoes, "a message that was never sent");
    else if (opcode < CLOSE && length > opt.size - c->message_at)
        fail(c, &wrong_echoes, "message %" PRIu64 " is longer than %zu bytes", c->received, opt.size);
    if (c->fd < 0)
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
        send_control(c, PONG, c->control, c->control_have);
    } else if (c->frame_opcode == CLOSE) {
        c->close_seen = true;
        if (!closing && (!stopping || c->received != c->sent))
            fail(c, &lost, "closed by the server with code %d",
                 c->control_have < 2 ? 1005 : c->control[0] << 8 | c->control[1]);
    } else if (c->frame_opcode != PONG) {
        c->in_message = !c->fin;
        if (c->fin && c->message_at != opt.size)
            fail(c, &wrong_echoes, "message %" PRIu64 " has %zu bytes of %zu", c->received,
                 c->message_at, opt.size);
        else if (c->fin)
            message_done(c, now);
    }
}

/* Gather a frame's header; true once it is whole and found good. */
static bool take_header(struct connection *c, const uint8_t **data, size_t *length)
{
    for (;;) {
        int code = c->header_have < 2 ? 0 : c->header[1] & 127;
        int extended = code == 126 ? 2 : code == 127 ? 8 : 0;
        if (c->header_have == 2 + extended) {
            uint64_t size = extended ? 0 : (uint64_t)code;
            for (int i = 0; i < extended; i++)
                size = size << 8 | c->header[2 + i];
            return begin_frame(c, size, extended);
        }
        if (!*length)
            return false;
        c->header[c->header_have++] = *(*data)++;
        --*length;
    }
}

static void take_frames(struct connection *c, const uint8_t *data, size_t length, uint64_t now)
{
    while (c->fd >= 0 && !c->close_seen) {
        if (!c->in_payload && !take_header(c, &data, &length))
            return;
        size_t count = c->frame_left < length ? (size_t)c->frame_left : length;
        if (c->frame_opcode >= CLOSE) {
            memcpy(c->control + c->control_have, data, count);
            c->control_have += count;
        } else if (!is_piece(data, count, c->message_at, pattern, opt.size, message_id(c->id, c->received))) {
            fail(c, &wrong_echoes, "message %" PRIu64 " came back changed", c->received);
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
    if ((events & EPOLLOUT) && c->pending_len)
        send_pending(c);
    if (c->fd >= 0 && (events & ~(uint32_t)EPOLLOUT)) {
        ssize_t got = recv(c->fd, scratch, BATCH_BYTES, 0);
        if (closing && (got == 0 || is_fatal(got))) {
            unclean_closes++;
            drop(c);
        } else if (got == 0)
            fail(c, &lost, "end of stream");
        else if (is_fatal(got))
            fail(c, &lost, "recv: %s", strerror(errno));
        else if (got > 0 && opt.raw)
            take_raw(c, scratch, (size_t)got, now_ns(CLOCK_MONOTONIC));
        else if (got > 0)
            take_frames(c, scratch, (size_t)got, now_ns(CLOCK_MONOTONIC));
        if (c->close_seen)
            drop(c);
    }
    if (c->fd >= 0)
        send_owed(c, now_ns(CLOCK_MONOTONIC));
}

/* The run */

static void turn(int timeout_ms)
{
    struct epoll_event events[MAX_EVENTS];
    int count = epoll_wait(epoll_fd, events, MAX_EVENTS, timeout_ms);
    for (int i = 0; i < count; i++) {
        struct connection *c = events[i].data.ptr;
        if (c->fd >= 0)
            on_ready(c, events[i].events);
    }
}

static void run_until(uint64_t deadline_ns, uint64_t received_limit)
{
    uint64_t now;
    while (alive && received_total < received_limit && (now = now_ns(CLOCK_MONOTONIC)) < deadline_ns) {
        uint64_t left_ms = (deadline_ns - now) / 1000000;
        turn(left_ms > 100 ? 100 : (int)left_ms);
    }
}

static uint64_t after_s(double seconds)
{
    return now_ns(CLOCK_MONOTONIC) + (uint64_t)(seconds * 1e9);
}

/* Wait for the echoes still under way: each of them is checked too. */
static void drain(void)
{
    stopping = true;
    uint64_t deadline = after_s(opt.drain_s);
    for (;;) {
        uint64_t open = 0;
        for (int i = 0; i < opt.connections; i++)
            open += conns[i].fd >= 0 ? conns[i].sent - conns[i].received : 0;
        if (!open || now_ns(CLOCK_MONOTONIC) >= deadline) {
            unanswered = open;
            if (open && !first_error[0])
                snprintf(first_error, sizeof first_error, "%" PRIu64 " messages without an echo", open);
            return;
        }
        turn(20);
    }
}

static void close_all(void)
{
    static const uint8_t normal[2] = {1000 >> 8, 1000 & 255};
    closing = true;
    for (int i = 0; i < opt.connections; i++) {
        if (conns[i].fd >= 0 && opt.raw)
            drop(&conns[i]);
        else if (conns[i].fd >= 0)
            send_control(&conns[i], CLOSE, normal, 2);
    }
    uint64_t deadline = after_s(CLOSE_S);
    while (alive && now_ns(CLOCK_MONOTONIC) < deadline)
        turn(20);
    for (int i = 0; i < opt.connections; i++) {
        unclean_closes += conns[i].fd >= 0;
        drop(&conns[i]);
    }
}

static void open_all(void)
{
    for (int i = 0; i < opt.connections; i++) {
        struct connection *c = &conns[i];
        char error[200] = "";
        c->id = (uint32_t)i;
        c->owed = opt.inflight;
        c->sent_ns = calloc((size_t)opt.inflight, sizeof *c->sent_ns);
        c->expected = opt.raw ? malloc(frame_bytes) : NULL;
        c->fd = open_websocket(opt.host, opt.port, opt.raw ? NULL : opt.path, error, sizeof error);
        if (c->fd < 0) {
            fail(c, &lost, "%s", error);
            return;
        }
        alive++;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event);
    }
}

static void prepare(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    pattern = make_pattern(opt.size);
    uint8_t header[10];
    frame_bytes = put_header(header, opt.opcode, opt.size) + 4 + opt.size;
    batch_bytes = frame_bytes > BATCH_BYTES ? frame_bytes : BATCH_BYTES;
    batch = malloc(batch_bytes);
    scratch = malloc(BATCH_BYTES);
    conns = calloc((size_t)opt.connections, sizeof *conns);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < opt.connections; i++)
        conns[i].fd = -1;
}

int main(int argc, char **argv)
{
    parse_options(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    prepare();
    open_all();
    uint64_t t0, t1, own0, own1, server0, server1, count0, count = 0;
    bool ready = alive == opt.connections;
    for (int i = 0; ready && i < opt.connections; i++)
        send_owed(&conns[i], now_ns(CLOCK_MONOTONIC));
    if (ready)
        run_until(after_s(opt.warmup_s), UINT64_MAX);
    measuring = true;
    count0 = received_total;
    server0 = server_cpu_ns();
    own0 = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    t0 = now_ns(CLOCK_MONOTONIC);
    if (ready)
        run_until(t0 + (uint64_t)(opt.seconds * 1e9), count0 + opt.messages);
    t1 = now_ns(CLOCK_MONOTONIC);
    own1 = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    server1 = server_cpu_ns();
    count = received_total - count0;
    measuring = false;
    drain();
    close_all();
    for (char *p = first_error; *p; p++)                 /* keep the JSON line valid */
        if (*p == '"' || *p == '\\' || (unsigned char)*p < ' ' || (unsigned char)*p > '~')
            *p = '?';
    printf("{\"generator\": \"c\", \"messages\": %" PRIu64 ", \"seconds\": %.9f, \"cpu_seconds\": %.9f, "
           "\"server_cpu_seconds\": %.9f, \"latency_us\": {\"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, "
           "\"p999\": %.1f, \"max\": %.1f}, ",
           count, (double)(t1 - t0) / 1e9, (double)(own1 - own0) / 1e9, (double)(server1 - server0) / 1e9,
           percentile_us(count, 0.5), percentile_us(count, 0.9), percentile_us(count, 0.99),
           percentile_us(count, 0.999), (double)slowest_ns / 1e3);
    printf("\"errors\": {\"wrong_echoes\": %" PRIu64 ", \"protocol\": %" PRIu64 ", \"lost\": %" PRIu64
           ", \"unanswered\": %" PRIu64 "}, \"unclean_closes\": %" PRIu64 ", \"first_error\": \"%s\"}\n",
           wrong_echoes, protocol_errors, lost, unanswered, unclean_closes, first_error);
    return wrong_echoes || protocol_errors || lost || unanswered;
}
