/* The fan-out generator: N subscribers, some of which publish; one thread, epoll, no library.
 *
 * What a subscriber sends, the server must send to all N, the sender included. Each publisher keeps D
 * messages under way; one counts as done when the last subscriber has it. An operation is one
 * message delivered to one subscriber. Every delivery is checked byte for byte, and each subscriber
 * must see each publisher's messages in order, none lost or doubled. --payload gives texts, taken in
 * turns (a message's id is stamped over it at --stamp-at), --raw speaks to a bare loop without handshakes.
 *
 * With --deflate all subscribers ask for permessage-deflate. Messages are published uncompressed
 * (RFC 7692 section 6 allows it: the server's inflating is another cell's matter). Compressed
 * frames must be the same for all subscribers, which holds with context takeover too, since all
 * have seen the same messages; those of the first are written to --dump, for the runner to inflate.
 *
 * Prints one line of JSON (result.h). Exit code: 0, or 1 if anything went wrong, or 2 for bad usage.
 */
#define _GNU_SOURCE
#include <signal.h>

#include "opening.h"
#include "reader.h"
#include "result.h"

enum { JOIN_MS = 200 /* after the last 101: a server may enter a subscriber only then */, DUMP_MAX = 64 << 20, MAX_PATTERNS = 1024 };

struct subscriber {
    struct link link;
    uint32_t *next;                   /* per publisher: the number of its next message */
};

struct publisher {
    uint32_t sent;
    int owed;                         /* messages that may be sent now */
    uint64_t *sent_ns;                /* ring of `inflight` */
    uint32_t *missing;                /* ring of `inflight`: subscribers that do not have it yet */
};

static struct subscriber *subscribers;
static struct publisher *publishers;
static uint8_t *patterns, *batch;       /* the payloads, before they are stamped, one behind the other */
static uint64_t pattern_count = 1;
static size_t frame_bytes;
static uint64_t delivered, missing_total;
static bool measuring, stopping;

/* --deflate: what the first subscriber to have message `number` received, per slot of the ring. */
static struct {
    uint32_t number;
    bool known;
    size_t length;
    uint8_t *bytes;
} *compressed;
static FILE *dump;
static uint64_t compressed_messages, compressed_bytes;

/* Publishing */

static uint8_t *pattern_of(uint64_t id)
{
    return patterns + (id & 0xffffffffffu) % pattern_count * opt.size;
}

static size_t build_message(uint8_t *out, uint64_t id)
{
    uint8_t head[STAMP_BYTES], *pattern = pattern_of(id);
    memcpy(pattern + opt.stamp_at, head, stamp(head, id, opt.size - opt.stamp_at));
    return build_frame(out, opt.opcode, pattern, opt.size, (uint32_t)mix(id));
}

/* Send all that publisher `p` owes in one call. */
static void publish_owed(uint32_t p, uint64_t now)
{
    struct publisher *publisher = &publishers[p];
    size_t at = 0;
    for (; publisher->owed && !stopping; publisher->owed--) {
        uint32_t slot = publisher->sent % (uint32_t)opt.inflight;
        publisher->sent_ns[slot] = now;
        publisher->missing[slot] = (uint32_t)opt.connections;
        missing_total += (uint64_t)opt.connections;
        at += build_message(batch + at, message_id(p, publisher->sent++));
    }
    if (at)
        put(&subscribers[p].link, batch, at);
}

/* Receiving */

static void message_delivered(struct subscriber *s, uint32_t p, uint64_t now)
{
    struct publisher *publisher = &publishers[p];
    uint32_t slot = s->next[p]++ % (uint32_t)opt.inflight;
    if (measuring)
        record(now - publisher->sent_ns[slot]);
    delivered++;
    missing_total--;
    if (!--publisher->missing[slot])
        publisher->owed++;
}

/* Whose message is it? Its stamp says; the rest of it must be as it was sent. */
static const char *identify(const struct subscriber *s, const uint8_t *payload, size_t length, uint32_t *p)
{
    uint64_t id = 0;
    if (length != opt.size)
        return "a message of another length";
    for (int i = STAMP_BYTES - 1; i >= 0; i--) {
        uint8_t digit = payload[opt.stamp_at + (size_t)i];
        id = id << 4 | (uint64_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
    }
    *p = (uint32_t)(id >> 40);
    if (*p >= (uint32_t)opt.publishers || s->next[*p] == publishers[*p].sent)
        return "a message that was never sent";
    if (id != message_id(*p, s->next[*p]))
        return "a message out of order, doubled, or behind a lost one";
    size_t behind = opt.stamp_at + STAMP_BYTES;
    const uint8_t *pattern = pattern_of(id);
    if (memcmp(payload, pattern, opt.stamp_at) != 0 || memcmp(payload + behind, pattern + behind, length - behind) != 0)
        return "a changed message";
    return NULL;
}

/* Compressed bytes are judged by comparing them with those of whoever had the message first. */
static const char *compare(const struct subscriber *s, const uint8_t *payload, size_t length)
{
    uint32_t number = s->next[0], slot = number % (uint32_t)opt.inflight;
    if (number == publishers[0].sent)
        return "a message that was never sent";
    if (!compressed[slot].known || compressed[slot].number != number) {
        compressed[slot].known = true;
        compressed[slot].number = number;
        compressed[slot].length = length;
        compressed[slot].bytes = realloc(compressed[slot].bytes, length + 1);
        memcpy(compressed[slot].bytes, payload, length);
    } else if (length != compressed[slot].length || memcmp(payload, compressed[slot].bytes, length) != 0) {
        return "compressed bytes that differ from another subscriber's";
    }
    compressed_messages++;
    compressed_bytes += length;
    return NULL;
}

static void take(struct link *l, uint8_t first, const uint8_t *payload, size_t length, uint64_t now)
{
    struct subscriber *s = (struct subscriber *)l;
    uint32_t p = 0;
    const char *fault;
    if ((first & 0x8f) != (0x80 | opt.opcode))
        fault = "another opcode, or a fragment";
    else if (first & 0x40)
        fault = compare(s, payload, length);
    else
        fault = identify(s, payload, length, &p);
    if (fault) {
        fail(l, &faults.wrong, "%s", fault);
        return;
    }
    if (dump && l->id == 0 && ftell(dump) < DUMP_MAX) {
        uint32_t header[2] = {first, (uint32_t)length};
        fwrite(header, sizeof header, 1, dump);
        fwrite(payload, 1, length, dump);
    }
    message_delivered(s, p, now);
}

/* The run */

static void turn(int timeout_ms)
{
    struct epoll_event events[MAX_EVENTS];
    int count = epoll_wait(epoll_fd, events, MAX_EVENTS, timeout_ms);
    for (int i = 0; i < count; i++) {
        struct link *l = events[i].data.ptr;
        if (l->fd >= 0 && (events[i].events & EPOLLOUT) && l->pending_len)
            put_pending(l);
        if (l->fd >= 0 && (events[i].events & ~(uint32_t)EPOLLOUT) && (!receive(l) || l->close_seen))
            fail(l, &faults.lost, l->close_seen ? "closed by the server" : "end of stream");
        for (uint32_t p = 0; p < (uint32_t)opt.publishers; p++)
            if (publishers[p].owed)
                publish_owed(p, now_ns());
    }
}

/* A subscriber lost means that no message is ever done: the run is over then. */
static void run_until(uint64_t deadline_ns, uint64_t delivered_limit)
{
    while (alive == opt.connections && delivered < delivered_limit && now_ns() < deadline_ns)
        turn(wait_ms(deadline_ns, 100));
}

static void drain(void)
{
    stopping = true;
    uint64_t deadline = after_s(opt.drain_s);
    while (missing_total && alive == opt.connections && now_ns() < deadline)
        turn(20);
    if (missing_total && alive == opt.connections) {
        note(&faults.unanswered, -1, "%" PRIu64 " deliveries are missing", missing_total);
        faults.unanswered = missing_total;
    }
}

/* Read --payload: any number of texts, each of the size of a message. */
static bool read_patterns(void)
{
    FILE *file = fopen(opt.payload, "rb");
    if (!file)
        return false;
    patterns = realloc(patterns, MAX_PATTERNS * opt.size);
    size_t got = fread(patterns, 1, MAX_PATTERNS * opt.size, file);
    fclose(file);
    pattern_count = got / opt.size;
    return pattern_count > 0 && got % opt.size == 0;
}

static bool prepare(void)
{
    prepare_links();
    reader.take = take;
    reader.compressed = opt.deflate;
    reader.masked = opt.raw;
    patterns = make_pattern(opt.size);
    if (opt.size < opt.stamp_at + STAMP_BYTES || opt.size > 64 * 1024 || (opt.deflate && opt.publishers > 1) ||
        !prepare_dialling() || (opt.payload && !read_patterns()))
        return false;
    uint8_t header[10];
    frame_bytes = put_header(header, opt.opcode, opt.size) + 4 + opt.size;
    batch = malloc(frame_bytes * (size_t)opt.inflight);
    dump = opt.dump ? fopen(opt.dump, "wb") : NULL;
    compressed = calloc((size_t)opt.inflight, sizeof *compressed);
    publishers = calloc((size_t)opt.publishers, sizeof *publishers);
    for (int p = 0; p < opt.publishers; p++) {
        publishers[p].owed = opt.inflight;
        publishers[p].sent_ns = calloc((size_t)opt.inflight, sizeof *publishers[p].sent_ns);
        publishers[p].missing = calloc((size_t)opt.inflight, sizeof *publishers[p].missing);
    }
    subscribers = calloc((size_t)opt.connections, sizeof *subscribers);
    for (int i = 0; i < opt.connections; i++) {
        subscribers[i].link.fd = -1;
        subscribers[i].next = calloc((size_t)opt.publishers, sizeof *subscribers[i].next);
    }
    return true;
}

int main(int argc, char **argv)
{
    parse_options(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    if (!prepare()) {
        fprintf(stderr, "a message has 16 bytes to 64 KiB and room for its stamp; deflate has one publisher; the host is IPv4\n");
        return 2;
    }
    bool ready = open_links(&(struct links){subscribers, sizeof *subscribers, opt.connections, NULL});
    usleep(JOIN_MS * 1000);
    for (uint32_t p = 0; ready && p < (uint32_t)opt.publishers; p++)
        publish_owed(p, now_ns());
    if (ready)
        run_until(after_s(opt.warmup_s), UINT64_MAX);
    measuring = true;
    uint64_t before = delivered;
    struct mark from = take_mark();
    if (ready)
        run_until(from.wall_ns + (uint64_t)(opt.seconds * 1e9), before + opt.operations);
    struct mark to = take_mark();
    uint64_t count = delivered - before;
    measuring = false;
    drain();
    if (dump)
        fclose(dump);
    char figures[300] = "";
    if (opt.deflate)
        snprintf(figures, sizeof figures,
                 "\"compressed\": %d, \"wire_bytes\": %.1f, \"no_context_takeover\": %d, \"window_bits\": %d",
                 compressed_messages > 0, compressed_messages ? (double)compressed_bytes / (double)compressed_messages : 0.0,
                 agreed.server_no_context_takeover, agreed.server_max_window_bits);
    return print_result(count, from, to, figures);
}
