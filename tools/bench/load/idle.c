/* The generator of idle connections: what a server keeps in memory for each.
 *
 * It opens a few connections, lets each echo once and closes them, so that what a server makes only once is
 * there. Then it reads the private memory of the server's processes (--pid), opens N connections,
 * waits --settle seconds, reads again; lets each connection echo once, waits, and reads a third time.
 * Pings are answered throughout. Private memory: Private_Clean + Private_Dirty of
 * /proc/<pid>/smaps_rollup. An operation is one connection opened.
 *
 * Prints one line of JSON (result.h). Exit code: 0, or 1 if anything went wrong, or 2 for bad usage.
 */
#define _GNU_SOURCE
#include <signal.h>

#include "opening.h"
#include "reader.h"
#include "result.h"

enum { FIRST = 50 /* connections of the warm-up */, ECHOES_AT_ONCE = 64 };

struct connection {
    struct link link;
    bool awaited;                     /* its echo is under way */
};

static struct connection *conns;
static uint8_t *pattern;
static int awaited;

static long private_kb(void)
{
    long sum = 0;
    for (int i = 0; i < opt.pids; i++) {
        char path[64], line[256];
        long kb;
        snprintf(path, sizeof path, "/proc/%d/smaps_rollup", opt.pid[i]);
        FILE *file = fopen(path, "r");
        while (file && fgets(line, sizeof line, file))
            if (sscanf(line, "Private_Clean: %ld", &kb) == 1 || sscanf(line, "Private_Dirty: %ld", &kb) == 1)
                sum += kb;
        if (file)
            fclose(file);
    }
    return sum;
}

static void take(struct link *l, uint8_t first, const uint8_t *payload, size_t length, uint64_t now)
{
    struct connection *c = (struct connection *)l;
    (void)now;
    if (!c->awaited || (first & 15) != opt.opcode ||
        length != opt.size || !is_piece(payload, length, 0, pattern, opt.size, message_id(l->id, 0))) {
        fail(l, &faults.wrong, "the echo is not what was sent");
        return;
    }
    c->awaited = false;
    awaited--;
}

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
    }
}

static void settle(double seconds)
{
    uint64_t deadline = after_s(seconds);
    while (!any_fault() && now_ns() < deadline)
        turn(wait_ms(deadline, 20));
}

/* Pings are answered while others connect: opening them all may take a server longer than a ping's patience. */
static void serve_open(void)
{
    turn(0);
}

static void open_some(int count)
{
    if (!any_fault())
        open_links(&(struct links){conns, sizeof *conns, count, serve_open});
}

/* Let each of the first `count` connections echo once, some at a time: a server is not to need room for all. */
static void echo_some(int count)
{
    uint8_t *frame = malloc(opt.size + CONTROL_BYTES);
    uint64_t deadline = after_s(opt.drain_s);
    for (int i = 0; i < count && !any_fault(); i++) {
        conns[i].awaited = true;
        awaited++;
        put(&conns[i].link, frame, build(frame, opt.opcode, pattern, opt.size, message_id(conns[i].link.id, 0)));
        while (awaited > (i < count - 1 ? ECHOES_AT_ONCE : 0) && !any_fault() && now_ns() < deadline)
            turn(20);
    }
    if (awaited && !any_fault())
        note(&faults.unanswered, -1, "%d messages without an echo", awaited);
    free(frame);
}

static void close_some(int count)
{
    for (int i = 0; i < count; i++)
        if (conns[i].link.fd >= 0 && !opt.raw)
            put_close(&conns[i].link);
    uint64_t deadline = after_s(CLOSE_S);
    for (int i = 0; i < count && !opt.raw; i++) {
        while (conns[i].link.fd >= 0 && !conns[i].link.close_seen && now_ns() < deadline && receive(&conns[i].link))
            usleep(200);
    }
    for (int i = 0; i < count; i++) {
        drop(&conns[i].link);
        conns[i].link.close_seen = false;
    }
}

int main(int argc, char **argv)
{
    parse_options(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    if (opt.size > 64 * 1024 || !prepare_dialling()) {
        fprintf(stderr, "a message has at most 64 KiB; the host is IPv4\n");
        return 2;
    }
    prepare_links();
    reader.take = take;
    reader.masked = opt.raw;
    pattern = make_pattern(opt.size);
    int room = opt.connections > FIRST ? opt.connections : FIRST;
    conns = calloc((size_t)room, sizeof *conns);
    for (int i = 0; i < room; i++)
        conns[i].link.fd = -1;
    open_some(FIRST);
    echo_some(FIRST);
    close_some(FIRST);
    settle(opt.settle_s);
    long empty_kb = private_kb();
    struct mark from = take_mark();
    open_some(opt.connections);
    struct mark to = take_mark();
    settle(opt.settle_s);
    long idle_kb = private_kb();
    if (!any_fault())
        echo_some(opt.connections);
    settle(opt.settle_s);
    long echoed_kb = private_kb();
    double each = (double)opt.connections;
    char figures[200];
    snprintf(figures, sizeof figures, "\"idle_kb\": %.3f, \"echoed_kb\": %.3f, \"empty_server_kb\": %ld",
             (double)(idle_kb - empty_kb) / each, (double)(echoed_kb - empty_kb) / each, empty_kb);
    return print_result((uint64_t)(any_fault() ? 0 : opt.connections), from, to, figures);
}
