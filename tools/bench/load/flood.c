/* The hostile generator: N peers that flood, and a polite one that measures what is left for it.
 *
 * Flooders send pings (even ids) or messages of a hundred fragments, every other one empty (odd
 * ids), as fast as the server reads them, and throw away what comes back. One that the server ends or
 * refuses comes again after RECONNECT_MS. The polite peer echoes a message --pace times a second, on schedule,
 * whether or not the earlier ones have come back; its latency counts from the scheduled time, so that a
 * pause is charged to all the messages that it delays. It is served between any two flooders, so
 * that this process's own turn is no part of what it measures. An operation is one polite echo.
 *
 * That the polite peer is not answered, or is even closed, is a result, no fault: what is missing
 * --drain seconds after the flood counts as that late.
 *
 * Prints one line of JSON (result.h). Exit code: 0, or 1 if anything went wrong, or 2 for bad usage.
 */
#define _GNU_SOURCE
#include <linux/sockios.h>
#include <signal.h>
#include <sys/ioctl.h>

#include "opening.h"
#include "reader.h"
#include "result.h"

enum { FLOOD_BYTES = 16 * 1024, FRAGMENTS = 100, RECONNECT_MS = 10, LOOK_NS = 50 * 1000 };
enum { UNSENT_BYTES = 64 * 1024 /* most that waits on this side: what counts as sent is soon read */ };

enum stage { DIALLING, UPGRADING, FLOODING, WAITING };

struct flooder {
    struct link link;
    enum stage stage;
    size_t at;                        /* in its flood's bytes; while UPGRADING, bytes of the answer */
    uint64_t again_ns;                /* WAITING: when it comes back */
    char answer[2048];
};

struct flood {
    uint8_t bytes[FLOOD_BYTES];
    size_t length;
    uint64_t frames;                  /* in `bytes`, which hold whole messages */
};

static struct flood floods[2];
static struct flooder *flooders;
static uint64_t sent_bytes, ended, refused;

static struct {
    struct link link;
    uint64_t start_ns, sent, received, looked_ns;
    uint64_t first, last;             /* numbers of the messages that are measured */
} polite = {.link.fd = -1, .last = UINT64_MAX};
static uint8_t *pattern, *frame;
static bool stopping;

/* The polite peer */

static uint64_t scheduled_ns(uint64_t number)
{
    return polite.start_ns + number * 1000000000u / (uint64_t)opt.pace;
}

static void take(struct link *l, uint8_t first, const uint8_t *payload, size_t length, uint64_t now)
{
    uint64_t number = polite.received;
    if ((first & 15) != opt.opcode || number == polite.sent || length != opt.size ||
        !is_piece(payload, length, 0, pattern, opt.size, message_id(0, number))) {
        fail(l, &faults.wrong, "message %" PRIu64 " came back changed", number);
        return;
    }
    if (number >= polite.first && number < polite.last)
        record(now - scheduled_ns(number));
    polite.received++;
}

static void serve_polite(void)
{
    struct link *l = &polite.link;
    uint64_t now = now_ns();
    while (l->fd >= 0 && !stopping && now >= scheduled_ns(polite.sent))
        put(l, frame, build(frame, opt.opcode, pattern, opt.size, message_id(0, polite.sent++)));
    if (l->fd < 0 || now < polite.looked_ns + LOOK_NS)
        return;
    polite.looked_ns = now;
    if (l->pending_len)
        put_pending(l);
    if (l->fd >= 0 && (!receive(l) || l->close_seen))
        drop(l);
}

/* The flooders */

static void add_frame(struct flood *f, uint8_t first, size_t length)
{
    static const uint8_t key[4] = {0x11, 0xa7, 0x5c, 0xe3};
    f->bytes[f->length++] = first;
    f->bytes[f->length++] = (uint8_t)(0x80 | length);
    memcpy(f->bytes + f->length, key, 4);
    f->length += 4;
    for (size_t i = 0; i < length; i++)
        f->bytes[f->length++] = (uint8_t)('x' ^ key[i]);
    f->frames++;
}

static void make_floods(void)
{
    while (floods[0].length + 6 <= FLOOD_BYTES)
        add_frame(&floods[0], 0x80 | PING, 0);
    while (floods[1].length + FRAGMENTS * 7 <= FLOOD_BYTES) {
        add_frame(&floods[1], TEXT, 1);
        for (int i = 2; i < FRAGMENTS; i++)
            add_frame(&floods[1], CONTINUATION, (size_t)i & 1);
        add_frame(&floods[1], 0x80 | CONTINUATION, 0);
    }
}

static void begin(struct flooder *f)
{
    int fd = dial(f->link.id + 1);
    f->stage = DIALLING;
    f->at = 0;
    if (fd < 0) {
        note(&faults.lost, (int)f->link.id, "connect: %s", strerror(errno));
        f->stage = WAITING;
        f->again_ns = UINT64_MAX;
        return;
    }
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){UNSENT_BYTES}, sizeof(int));
    f->link.fd = fd;
    alive++;
    watch(&f->link, EPOLL_CTL_ADD, EPOLLOUT);
}

static void wait_again(struct flooder *f, uint64_t *counter)
{
    ++*counter;
    drop(&f->link);
    f->stage = WAITING;
    f->again_ns = now_ns() + RECONNECT_MS * 1000000u;
}

static void upgrade_flooder(struct flooder *f)
{
    char error[200];
    ssize_t got = recv(f->link.fd, f->answer + f->at, sizeof f->answer - 1 - f->at, 0);
    if (got < 0 && !is_fatal(got))
        return;
    f->at += got > 0 ? (size_t)got : 0;
    f->answer[f->at] = 0;
    if (got <= 0 || f->at == sizeof f->answer - 1) {
        wait_again(f, &refused);
    } else if (head_length(f->answer)) {
        if (!judge_answer(&shared_handshake, f->answer, error, sizeof error)) {
            wait_again(f, &refused);
            return;
        }
        f->stage = FLOODING;
        f->at = 0;
        watch(&f->link, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    }
}

static void send_flood(struct flooder *f)
{
    const struct flood *flood = &floods[f->link.id & 1];
    ssize_t took = send(f->link.fd, flood->bytes + f->at, flood->length - f->at, MSG_NOSIGNAL);
    if (is_fatal(took)) {
        wait_again(f, &ended);
        return;
    }
    if (took > 0) {
        f->at = (f->at + (size_t)took) % flood->length;
        sent_bytes += (uint64_t)took;
    }
}

static void on_ready(struct flooder *f, uint32_t events)
{
    if (f->stage == DIALLING) {
        if (!ask(f->link.fd)) {
            wait_again(f, &refused);
            return;
        }
        f->stage = UPGRADING;
        watch(&f->link, EPOLL_CTL_MOD, EPOLLIN);
    } else if (f->stage == UPGRADING) {
        upgrade_flooder(f);
    } else {
        if (events & ~(uint32_t)EPOLLOUT) {
            ssize_t got = recv(f->link.fd, NULL, 1 << 20, MSG_TRUNC);   /* thrown away by the kernel */
            if (got == 0 || is_fatal(got)) {
                wait_again(f, &ended);
                return;
            }
        }
        if (events & EPOLLOUT)
            send_flood(f);
    }
}

/* What the kernel holds of the flood: not taken from this side yet, or not read by the server. */
static uint64_t unread_bytes(void)
{
    uint64_t sum = 0;
    char line[512];
    FILE *table = fopen("/proc/net/tcp", "r");
    for (int i = 0; i < opt.connections; i++) {
        int queued = 0;
        if (flooders[i].link.fd >= 0 && ioctl(flooders[i].link.fd, SIOCOUTQ, &queued) == 0)
            sum += (uint64_t)queued;
    }
    while (table && fgets(line, sizeof line, table)) {
        unsigned port, received;
        if (sscanf(line, "%*d: %*x:%x %*x:%*x 01 %*x:%x", &port, &received) == 2 && port == (unsigned)opt.port)
            sum += received;
    }
    if (table)
        fclose(table);
    return sum;
}

/* The run */

static void turn(void)
{
    struct epoll_event events[MAX_EVENTS];
    int count = epoll_wait(epoll_fd, events, MAX_EVENTS, 1);
    serve_polite();
    for (int i = 0; i < count; i++) {
        struct link *l = events[i].data.ptr;
        if (l != &polite.link && l->fd >= 0)
            on_ready((struct flooder *)l, events[i].events);
        serve_polite();
    }
    uint64_t now = now_ns();
    for (int i = 0; i < opt.connections && !stopping; i++)
        if (flooders[i].stage == WAITING && now >= flooders[i].again_ns)
            begin(&flooders[i]);
}

static void run_until(uint64_t deadline_ns, uint64_t received_limit)
{
    while (polite.link.fd >= 0 && polite.received < received_limit && now_ns() < deadline_ns)
        turn();
}

static bool prepare(void)
{
    if (opt.raw || opt.size > 64 * 1024 || !prepare_dialling())
        return false;
    prepare_links();
    make_floods();
    reader.take = take;
    pattern = make_pattern(opt.size);
    frame = malloc(opt.size + CONTROL_BYTES);
    flooders = calloc((size_t)opt.connections, sizeof *flooders);
    return true;
}

static void open_all(void)
{
    if (!open_links(&(struct links){&polite, sizeof polite, 1, NULL}))
        return;
    polite.start_ns = now_ns();
    for (int i = 0; i < opt.connections; i++) {
        flooders[i].link.id = (uint32_t)i;
        flooders[i].link.fd = -1;
        begin(&flooders[i]);
    }
}

/* The flood is over; what the polite peer still awaits counts as late as it comes. Returns what does not come. */
static uint64_t drain(void)
{
    stopping = true;
    for (int i = 0; i < opt.connections; i++)
        drop(&flooders[i].link);
    uint64_t deadline = after_s(opt.drain_s);
    while (polite.link.fd >= 0 && polite.received < polite.sent && now_ns() < deadline)
        turn();
    uint64_t now = now_ns();
    for (uint64_t number = polite.received; number < polite.last; number++)
        if (number >= polite.first)
            record(now - scheduled_ns(number));
    return polite.sent - polite.received;
}

int main(int argc, char **argv)
{
    parse_options(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    if (!prepare()) {
        fprintf(stderr, "the flood speaks WebSocket to an IPv4 address; a message has at most 64 KiB\n");
        return 2;
    }
    open_all();
    run_until(after_s(opt.warmup_s), UINT64_MAX);
    uint64_t before = polite.received, closes = ended, refusals = refused, unread = unread_bytes(), sent = sent_bytes;
    polite.first = polite.sent;
    struct mark from = take_mark();
    run_until(from.wall_ns + (uint64_t)(opt.seconds * 1e9), before + opt.operations);
    struct mark to = take_mark();
    polite.last = polite.sent;
    uint64_t count = polite.received - before;
    double seconds = (double)(to.wall_ns - from.wall_ns) / 1e9;
    double read_bytes = (double)(sent_bytes - sent) + (double)unread - (double)unread_bytes();
    double frame_bytes = (double)(floods[0].length + floods[1].length) / (double)(floods[0].frames + floods[1].frames);
    uint64_t unanswered = faults.lost ? 0 : drain();
    char figures[300];
    snprintf(figures, sizeof figures,
             "\"flood_frames_per_s\": %.0f, \"flooders_ended\": %" PRIu64
             ", \"flooders_refused\": %" PRIu64 ", \"polite_unanswered\": %" PRIu64,
             read_bytes > 0 ? read_bytes / frame_bytes / seconds : 0.0, ended - closes, refused - refusals, unanswered);
    return print_result(count, from, to, figures);
}
