/* A crowd of messaging clients: each connects, subscribes to --channels channels, answers pings, and notes how late
 * a publication comes. Several of these processes share a crowd that is too large for one's descriptors.
 *
 * Commands come on standard input, one a line. "report" is answered with one line of JSON: what is known since
 * the last "clear", which forgets latencies and counts of deliveries and pings. "flood" begins to publish through
 * the first client, --inflight at a time, each following one when all clients together have had as many messages;
 * meanwhile it reads every --settle seconds only, so that its own share of the machine is small. The channels take
 * turns: a server may join messages of one channel into one frame, and not those of several. "calm" ends that.
 * "quit", or the end of input, ends it. When all are subscribed, or the first has failed, it reports unasked.
 *
 * A publication's data is {"t": N}, N the time of CLOCK_MONOTONIC in nanoseconds when it was sent. --pace:
 * connects a second.
 *
 * Exit code: 0, or 1 if anything went wrong, or 2 for bad usage.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>

#include "opening.h"
#include "reader.h"
#include "result.h"

enum { INPUT = 0, LINE_BYTES = 64, COMMAND_BYTES = 120 };

#define SUBSCRIBE "\n{\"id\":2,\"subscribe\":{\"channel\":\"all%s\"}}"
#define PUBLISH "{\"id\":3,\"publish\":{\"channel\":\"all%s\",\"data\":{\"t\":%" PRIu64 "}}}"

static char *hello;                   /* connect, then a subscribe for each channel */
static size_t hello_bytes;

struct client {
    struct link link;
    uint32_t pings;                   /* answered since the last clear */
    bool connected;
    int subscriptions;
};

static struct client *clients;
static int greeted, opened, subscribed;
static uint64_t deliveries, pings, began_ns;
static uint64_t flooded, received;    /* messages published, and all deliveries since the flood began */
static bool flooding, quitting;

static void put_text(struct link *l, const char *text, size_t length)
{
    uint8_t frame[hello_bytes + CONTROL_BYTES];
    put(l, frame, build_frame(frame, TEXT, (const uint8_t *)text, length, (uint32_t)mix(now_ns())));
}

static bool begins(const char *line, size_t length, const char *with)
{
    size_t wanted = strlen(with);
    return length >= wanted && memcmp(line, with, wanted) == 0;
}

static void take_publication(const char *line, size_t length, uint64_t now)
{
    const char *found = memmem(line, length, "{\"t\":", 5);
    uint64_t sent = found ? strtoull(found + 5, NULL, 10) : 0;
    if (!sent || sent > now) {
        note(&faults.wrong, -1, "a publication without its time: %.*s", (int)length, line);
        return;
    }
    deliveries++;
    received++;
    record(now - sent);
}

static void take_line(struct client *c, const char *line, size_t length, uint64_t now)
{
    if (length == 2 && line[0] == '{') {
        put_text(&c->link, "{}", 2);
        c->pings++;
        pings++;
    } else if (begins(line, length, "{\"push\":")) {
        take_publication(line, length, now);
    } else if (begins(line, length, "{\"id\":1,\"connect\":")) {
        c->connected = true;
    } else if (begins(line, length, "{\"id\":2,\"subscribe\":") && c->connected && c->subscriptions < opt.channels) {
        subscribed += ++c->subscriptions == opt.channels;
    } else if (!begins(line, length, "{\"id\":3,\"publish\":")) {
        fail(&c->link, &faults.wrong, "not expected: %.*s", (int)(length < 120 ? length : 120), line);
    }
}

static void take(struct link *l, uint8_t first, const uint8_t *payload, size_t length, uint64_t now)
{
    const char *at = (const char *)payload, *end = at + length;
    if (first != (0x80 | TEXT)) {
        fail(l, &faults.wrong, "another opcode, or a fragment");
        return;
    }
    while (at < end && l->fd >= 0) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline ? newline : end;
        take_line((struct client *)l, at, (size_t)(stop - at), now);
        at = stop + 1;
    }
}

static void report(void)
{
    int open = 0;
    uint32_t fewest = UINT32_MAX;
    for (int i = 0; i < opt.connections; i++) {
        if (clients[i].link.fd < 0)
            continue;
        open++;
        fewest = clients[i].pings < fewest ? clients[i].pings : fewest;
    }
    printf("{\"open\": %d, \"subscribed\": %d, \"deliveries\": %" PRIu64 ", \"pings\": %" PRIu64
           ", \"fewest_pings\": %u, \"seconds\": %.3f, \"cpu_seconds\": %.6f, \"slowest_ns\": %" PRIu64
           ", \"faults\": %" PRIu64 ", \"first_fault\": \"%s\", \"latencies_ns\": [",
           open, subscribed, deliveries, pings, open ? fewest : 0, (double)(now_ns() - began_ns) / 1e9,
           (double)clock_ns(CLOCK_PROCESS_CPUTIME_ID) / 1e9, slowest_ns,
           faults.wrong + faults.protocol + faults.lost, faults.first);
    const char *comma = "";
    for (uint64_t index = 0; index < BUCKETS; index++) {
        if (!histogram[index])
            continue;
        printf("%s[%" PRIu64 ", %" PRIu64 "]", comma, bucket_ns(index), histogram[index]);
        comma = ", ";
    }
    printf("]}\n");
    fflush(stdout);
}

static void clear(void)
{
    memset(histogram, 0, sizeof histogram);
    recorded = slowest_ns = deliveries = pings = 0;
    began_ns = now_ns();
    for (int i = 0; i < opt.connections; i++)
        clients[i].pings = 0;
}

/* Return what a channel's name ends with: nothing for the first, which is "all". */
static const char *number_of(int channel)
{
    static char text[12];
    snprintf(text, sizeof text, channel ? "%d" : "", channel);
    return text;
}

static void write_hello(void)
{
    hello = malloc((size_t)COMMAND_BYTES * (size_t)(1 + opt.channels));
    hello_bytes = (size_t)sprintf(hello, "{\"id\":1,\"connect\":{}}");
    for (int i = 0; i < opt.channels; i++)
        hello_bytes += (size_t)sprintf(hello + hello_bytes, SUBSCRIBE, number_of(i));
}

static void publish(void)
{
    char line[COMMAND_BYTES];
    const char *number = number_of((int)(flooded % (uint64_t)opt.channels));
    int length = snprintf(line, sizeof line, PUBLISH, number, now_ns());
    put_text(&clients[0].link, line, (size_t)length);
    flooded++;
}

static void obey(void)
{
    char line[LINE_BYTES];
    if (!fgets(line, sizeof line, stdin) || strcmp(line, "quit\n") == 0)
        quitting = true;
    else if (strcmp(line, "report\n") == 0)
        report();
    else if (strcmp(line, "clear\n") == 0)
        clear();
    else if (strcmp(line, "flood\n") == 0)
        flooding = true, flooded = received = 0;
    else if (strcmp(line, "calm\n") == 0)
        flooding = false;
}

static void turn(int timeout_ms)
{
    struct epoll_event events[MAX_EVENTS];
    int count = epoll_wait(epoll_fd, events, MAX_EVENTS, timeout_ms);
    for (int i = 0; i < count; i++) {
        struct link *l = events[i].data.ptr;
        if (!l)
            obey();
        else if (l->fd >= 0 && (events[i].events & EPOLLOUT) && l->pending_len)
            put_pending(l);
        if (l && l->fd >= 0 && (events[i].events & ~(uint32_t)EPOLLOUT) && (!receive(l) || l->close_seen))
            fail(l, &faults.lost, l->close_seen ? "closed by the server" : "end of stream");
    }
}

/* Connections are greeted in the order of their numbers, which is nearly that in which they open. */
static void greet(void)
{
    while (greeted < opt.connections && clients[greeted].link.fd >= 0)
        put_text(&clients[greeted++].link, hello, hello_bytes);
    turn(0);
}

/* Open as many as the pace allows by now. */
static void open_all(void)
{
    while (opened < opt.connections && !any_fault() && !quitting) {
        uint64_t due = (uint64_t)((double)(now_ns() - began_ns) / 1e9 * opt.pace);
        int more = (int)(due < (uint64_t)opt.connections ? due : (uint64_t)opt.connections) - opened;
        if (more > 0)
            open_links(&(struct links){clients + opened, sizeof *clients, more, greet, opened});
        opened += more;
        greet();
        turn(more > 0 ? 0 : 5);
    }
    uint64_t deadline = after_s(OPENING_S);
    while (subscribed < opt.connections && !any_fault() && !quitting && now_ns() < deadline)
        turn(20);
    if (subscribed < opt.connections && !quitting)
        note(&faults.unanswered, -1, "%d are not subscribed", opt.connections - subscribed);
}

int main(int argc, char **argv)
{
    opt.path = "/connection/websocket";
    parse_options(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    if (!prepare_dialling()) {
        fprintf(stderr, "the host is IPv4\n");
        return 2;
    }
    prepare_links();
    write_hello();
    setvbuf(stdin, NULL, _IONBF, 0);
    struct epoll_event input = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, INPUT, &input);
    reader.take = take;
    clients = calloc((size_t)opt.connections, sizeof *clients);
    for (int i = 0; i < opt.connections; i++)
        clients[i].link.fd = -1;
    began_ns = now_ns();
    open_all();
    report();
    while (!quitting) {
        turn(flooding ? 1 : 1000);
        while (flooding && flooded * (uint64_t)opt.connections < received + (uint64_t)(opt.inflight * opt.connections))
            publish();
        if (flooding)
            usleep((useconds_t)(opt.settle_s * 1e6));
    }
    return any_fault();
}
