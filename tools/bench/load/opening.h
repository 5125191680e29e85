/* Opens many connections, some at a time: a server that sleeps between handshakes is not waited for one by one. */
#ifndef WSLOOP_BENCH_OPENING_H
#define WSLOOP_BENCH_OPENING_H

#include <poll.h>

#include "dial.h"
#include "link.h"

enum { AT_ONCE = 64, OPENING_S = 10 /* with no progress at all, after which the server has failed */ };

/* A connection on its way: waiting for the kernel (before `asked`), then for the server's answer. */
struct opening {
    struct link *link;
    int fd;
    bool asked;
};

/* The links to open: embedded in structures of `stride` bytes. `meanwhile`, if any, serves those that are open.
 * Their numbers, from which source addresses follow, begin at `first`. */
struct links {
    void *base;
    size_t stride;
    int count;
    void (*meanwhile)(void);
    int first;
};

/* Take the answer's head, and no byte behind it. True when it is whole and good, or it is a fault. */
static inline bool take_answer(struct opening *o)
{
    char head[HEAD_BYTES + 1], error[200] = "";
    ssize_t got = recv(o->fd, head, HEAD_BYTES, MSG_PEEK);
    if (got < 0 && !is_fatal(got))
        return false;
    head[got > 0 ? got : 0] = 0;
    size_t length = head_length(head);
    if (got <= 0 || (!length && got == HEAD_BYTES))
        note(&faults.lost, (int)o->link->id, "no answer to the handshake");
    else if (!length)
        return false;
    else if (judge_answer(&shared_handshake, head, error, sizeof error))
        recv(o->fd, head, length, 0);
    else
        note(&faults.lost, (int)o->link->id, "%s", error);
    return true;
}

/* The descriptor is ready: take the next step. True when the connection is open, or it is a fault. */
static inline bool step_opening(struct opening *o)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (o->asked)
        return take_answer(o);
    getsockopt(o->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error || (!opt.raw && !ask(o->fd)))
        note(&faults.lost, (int)o->link->id, "connect: %s", strerror(error ? error : errno));
    else if (!opt.raw)
        o->asked = true;
    return opt.raw || any_fault();
}

static inline bool begin_opening(struct opening *o, struct link *link, int number)
{
    *o = (struct opening){.link = link, .fd = dial((uint32_t)number)};
    link->id = (uint32_t)number;
    if (o->fd < 0)
        note(&faults.lost, number, "connect: %s", strerror(errno));
    return o->fd >= 0;
}

/* Open all; on a fault those on their way are dropped, and it is false. prepare_dialling() comes before. */
static inline bool open_links(const struct links *links)
{
    struct opening openings[AT_ONCE];
    struct pollfd polled[AT_ONCE];
    int begun = 0, running = 0;
    uint64_t deadline = after_s(OPENING_S);
    while (!any_fault() && (running || begun < links->count)) {
        for (; running < AT_ONCE && begun < links->count; begun++, running++) {
            struct link *link = (struct link *)((char *)links->base + (size_t)begun * links->stride);
            if (!begin_opening(&openings[running], link, links->first + begun))
                break;
        }
        for (int i = 0; i < running; i++)
            polled[i] = (struct pollfd){.fd = openings[i].fd, .events = openings[i].asked ? POLLIN : POLLOUT};
        if (poll(polled, (nfds_t)running, 100) > 0)
            deadline = after_s(OPENING_S);
        else if (now_ns() >= deadline)
            note(&faults.lost, -1, "no answer to %d handshakes", running);
        for (int i = running - 1; i >= 0 && !any_fault(); i--) {
            if (!polled[i].revents || !step_opening(&openings[i]) || any_fault())
                continue;
            attach(openings[i].link, openings[i].fd);
            openings[i] = openings[--running];
        }
        if (links->meanwhile)
            links->meanwhile();
    }
    for (int i = 0; i < running && any_fault(); i++)
        if (openings[i].fd >= 0)
            close(openings[i].fd);
    return !any_fault();
}

#endif
