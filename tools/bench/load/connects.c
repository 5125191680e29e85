/* The connection generator: connect, upgrade, one echo, close; again and again on N slots at once.
 *
 * An operation is one whole cycle: TCP connect, handshake (its answer is judged each time), one
 * message and its echo, close frame and its answer, and the server's end of stream, for which RFC 6455
 * section 7.1.1 has the client wait. Cycles take turns over --sources addresses, so that the ports
 * of one do not run out. With --raw a bare loop returns each step's bytes as they are, so
 * that the round trips are the same; the client then ends the stream.
 *
 * Prints one line of JSON (result.h). Exit code: 0, or 1 if anything went wrong, or 2 for bad usage.
 */
#define _GNU_SOURCE
#include <signal.h>

#include "dial.h"
#include "link.h"
#include "result.h"

enum stage { DIALLING, UPGRADING, ECHOING, CLOSING, ENDING };
enum { ROOM = HEAD_BYTES };

struct slot {
    struct link link;
    enum stage stage;
    uint64_t began_ns;
    size_t have;                      /* bytes of this stage's answer */
    char answer[ROOM + 1];
};

static struct slot *slots;
static uint8_t message[ROOM], expected[ROOM], close_frame[CONTROL_BYTES];
static size_t message_bytes, expected_bytes, close_bytes;
static uint64_t cycles, dialled_total;
static bool measuring, stopping;

static void begin(struct slot *s)
{
    int fd = dial((uint32_t)dialled_total++);
    s->stage = DIALLING;
    s->have = 0;
    s->began_ns = now_ns();
    if (fd < 0) {
        note(&faults.lost, (int)s->link.id, "connect: %s", strerror(errno));
        return;
    }
    s->link.fd = fd;
    alive++;
    watch(&s->link, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);   /* one call a cycle */
}

static void advance(struct slot *s, const void *data, size_t length)
{
    s->stage++;
    s->have = 0;
    if (send(s->link.fd, data, length, MSG_NOSIGNAL) != (ssize_t)length)
        fail(&s->link, &faults.lost, "send: %s", strerror(errno));
}

/* Is the stage's answer whole? Go on to the next stage then. */
static void judge(struct slot *s)
{
    char error[200] = "";
    s->answer[s->have] = 0;
    if (s->stage == UPGRADING) {
        size_t length = opt.raw ? shared_handshake.length : head_length(s->answer);
        if (!length || s->have < length)
            return;
        if (s->have != length || (opt.raw && memcmp(s->answer, shared_handshake.request, length) != 0))
            fail(&s->link, &faults.protocol, "bytes behind the handshake, or changed ones");
        else if (!opt.raw && !judge_answer(&shared_handshake, s->answer, error, sizeof error))
            fail(&s->link, &faults.lost, "%s", error);
        else
            advance(s, message, message_bytes);
    } else if (s->stage == ECHOING && s->have >= expected_bytes) {
        if (s->have != expected_bytes || memcmp(s->answer, expected, expected_bytes) != 0)
            fail(&s->link, &faults.wrong, "the echo is not what was sent");
        else
            advance(s, close_frame, close_bytes);
    } else if (s->stage == CLOSING && s->have >= (opt.raw ? close_bytes : 2)) {
        if (!opt.raw && (uint8_t)s->answer[0] != (0x80 | CLOSE)) {
            fail(&s->link, &faults.protocol, "a close frame is not answered by one");
        } else if (opt.raw || s->have >= 2 + (size_t)s->answer[1]) {
            s->stage = ENDING;
            if (opt.raw)
                shutdown(s->link.fd, SHUT_WR);
        }
    }
}

static void end(struct slot *s)
{
    if (s->stage != ENDING) {
        if (s->stage == CLOSING)
            faults.unclean_closes++;
        else
            note(&faults.lost, (int)s->link.id, "end of stream in stage %d", s->stage);
    }
    if (measuring)
        record(now_ns() - s->began_ns);
    cycles += s->stage >= CLOSING;
    drop(&s->link);
}

static void on_ready(struct slot *s, uint32_t events)
{
    if (s->stage == DIALLING && (events & EPOLLOUT)) {
        s->stage = UPGRADING;
        if (!ask(s->link.fd))
            fail(&s->link, &faults.lost, "connect: %s", strerror(errno));
    }
    bool more = events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    while (more && s->link.fd >= 0) {
        size_t room = ROOM - s->have;
        ssize_t got = recv(s->link.fd, s->answer + s->have, room, 0);
        if (got < 0 && !is_fatal(got))
            return;
        /* Edge-triggered: less than there was room for is all there was, but for an end that was told. */
        more = got == (ssize_t)room || (events & ~(uint32_t)(EPOLLIN | EPOLLOUT));
        if (got <= 0) {
            end(s);
        } else {
            s->have += (size_t)got;
            judge(s);
            if (s->have == ROOM)
                fail(&s->link, &faults.protocol, "an answer without end");
        }
    }
    if (s->link.fd >= 0)
        return;
    if (!stopping && !any_fault())
        begin(s);
}

static void turn(int timeout_ms)
{
    struct epoll_event events[MAX_EVENTS];
    int count = epoll_wait(epoll_fd, events, MAX_EVENTS, timeout_ms);
    for (int i = 0; i < count; i++) {
        struct slot *s = events[i].data.ptr;
        if (s->link.fd >= 0)
            on_ready(s, events[i].events);
    }
}

static void run_until(uint64_t deadline_ns, uint64_t cycle_limit)
{
    while (alive && cycles < cycle_limit && now_ns() < deadline_ns)
        turn(wait_ms(deadline_ns, 100));
}

static void drain(void)
{
    stopping = true;
    uint64_t deadline = after_s(opt.drain_s);
    while (alive && now_ns() < deadline)
        turn(20);
    if (alive)
        note(&faults.unanswered, -1, "%d cycles did not end", alive);
    faults.unanswered = (uint64_t)alive;
}

static bool prepare(void)
{
    if (opt.size + CONTROL_BYTES > ROOM || !prepare_dialling())
        return false;
    static const uint8_t normal[2] = {1000 >> 8, 1000 & 255};
    uint8_t *payload = make_pattern(opt.size);
    prepare_links();
    message_bytes = build_frame(message, opt.opcode, payload, opt.size, (uint32_t)mix(opt.size));
    close_bytes = build_frame(close_frame, CLOSE, normal, sizeof normal, (uint32_t)mix(0));
    if (opt.raw) {
        memcpy(expected, message, message_bytes);
        expected_bytes = message_bytes;
    } else {
        size_t head = put_header(expected, opt.opcode, opt.size);
        expected[1] &= 0x7f;
        memcpy(expected + head, payload, opt.size);
        expected_bytes = head + opt.size;
    }
    slots = calloc((size_t)opt.connections, sizeof *slots);
    return true;
}

int main(int argc, char **argv)
{
    parse_options(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    if (!prepare()) {
        fprintf(stderr, "the host is an IPv4 address; a message has at most %d bytes\n", ROOM - CONTROL_BYTES);
        return 2;
    }
    for (int i = 0; i < opt.connections; i++) {
        slots[i].link.id = (uint32_t)i;
        slots[i].link.fd = -1;
        begin(&slots[i]);
    }
    run_until(after_s(opt.warmup_s), UINT64_MAX);
    measuring = true;
    uint64_t before = cycles;
    struct mark from = take_mark();
    run_until(from.wall_ns + (uint64_t)(opt.seconds * 1e9), before + opt.operations);
    struct mark to = take_mark();
    uint64_t count = cycles - before;
    measuring = false;
    drain();
    return print_result(count, from, to, "");
}
