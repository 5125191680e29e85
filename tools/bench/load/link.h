/* One connection of a generator: a non-blocking descriptor, and what the kernel did not take yet.
 *
 * A program embeds `struct link` as the first member of its own connection. Next: reader.h.
 */
#ifndef WSLOOP_BENCH_LINK_H
#define WSLOOP_BENCH_LINK_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clocks.h"
#include "faults.h"
#include "messages.h"

enum {
    SCRATCH_BYTES = 256 * 1024,
    MAX_EVENTS = 512,
    CLOSE_S = 2,                      /* what close_all() waits for the server's close frames */
};

struct link {
    int fd;                           /* -1 once lost or closed */
    uint32_t id;
    bool close_seen;                  /* the server's close frame has come: nothing after it counts */
    uint8_t *pending;                 /* what the kernel did not take yet */
    size_t pending_at, pending_len, pending_room;
    uint8_t *tail;                    /* reader.h: the beginning of a frame whose rest has not come */
    size_t tail_len, tail_room;
};

static int epoll_fd, alive;
static uint8_t *scratch;              /* SCRATCH_BYTES */

static inline void prepare_links(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    scratch = malloc(SCRATCH_BYTES);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
}

static inline void watch(struct link *l, int operation, uint32_t interest)
{
    struct epoll_event event = {.events = interest, .data.ptr = l};
    epoll_ctl(epoll_fd, operation, l->fd, &event);
}

static inline void attach(struct link *l, int fd)
{
    l->fd = fd;
    alive++;
    watch(l, EPOLL_CTL_ADD, EPOLLIN);
}

static inline void drop(struct link *l)
{
    if (l->fd < 0)
        return;
    close(l->fd);
    l->fd = -1;
    l->pending_len = l->tail_len = 0;
    alive--;
}

/* Count a fault of the link and end it. */
#define fail(l, counter, ...) (note((counter), (int)(l)->id, __VA_ARGS__), drop(l))

static inline bool is_fatal(ssize_t result)
{
    return result < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR;
}

static inline void keep(uint8_t **buffer, size_t *room, const uint8_t *data, size_t at, size_t length)
{
    if (at + length > *room) {
        *room = at + length;
        *buffer = realloc(*buffer, *room);
    }
    memmove(*buffer + at, data, length);
}

/* Send bytes behind what is pending; keep what the kernel does not take. */
static inline void put(struct link *l, const uint8_t *data, size_t length)
{
    size_t done = 0;
    if (l->fd < 0)
        return;
    if (!l->pending_len) {
        ssize_t took = send(l->fd, data, length, MSG_NOSIGNAL);
        if (is_fatal(took)) {
            fail(l, &faults.lost, "send: %s", strerror(errno));
            return;
        }
        done = took < 0 ? 0 : (size_t)took;
        if (done == length)
            return;
        l->pending_at = 0;
        watch(l, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    }
    keep(&l->pending, &l->pending_room, data + done, l->pending_at + l->pending_len, length - done);
    l->pending_len += length - done;
}

static inline void put_pending(struct link *l)
{
    ssize_t took = send(l->fd, l->pending + l->pending_at, l->pending_len, MSG_NOSIGNAL);
    if (is_fatal(took)) {
        fail(l, &faults.lost, "send: %s", strerror(errno));
        return;
    }
    if (took > 0) {
        l->pending_at += (size_t)took;
        l->pending_len -= (size_t)took;
    }
    if (!l->pending_len)
        watch(l, EPOLL_CTL_MOD, EPOLLIN);
}

static inline void put_control(struct link *l, uint8_t opcode, const uint8_t *payload, size_t length)
{
    uint8_t frame[CONTROL_BYTES];
    put(l, frame, build_frame(frame, opcode, payload, length, (uint32_t)mix(now_ns())));
}

static inline void put_close(struct link *l)
{
    static const uint8_t normal[2] = {1000 >> 8, 1000 & 255};
    put_control(l, CLOSE, normal, sizeof normal);
}

static inline int close_code(const uint8_t *payload, size_t length)
{
    return length < 2 ? 1005 : payload[0] << 8 | payload[1];
}

/* What is wrong with a server's frame header by RFC 6455 section 5.2, or NULL. `rsv1`: may it be set? */
static inline const char *header_fault(const uint8_t header[2], uint64_t length, int extended, bool rsv1)
{
    uint8_t opcode = header[0] & 15;
    if (header[0] & (rsv1 ? 0x30 : 0x70))
        return "reserved bits are set";
    if (header[1] & 0x80)
        return "a server's frame is masked";
    if ((extended == 2 && length < 126) || (extended == 8 && length < 65536))
        return "a length is not in its shortest form";
    if (opcode >= CLOSE && (opcode > PONG || !(header[0] & 0x80) || length > 125))
        return "bad control frame";
    return NULL;
}

/* The number of bytes behind the first two that hold the length. */
static inline int extended_bytes(uint8_t second)
{
    return (second & 127) == 126 ? 2 : (second & 127) == 127 ? 8 : 0;
}

static inline uint64_t frame_length(const uint8_t *header, int extended)
{
    uint64_t length = extended ? 0 : header[1] & 127;
    for (int i = 0; i < extended; i++)
        length = length << 8 | header[2 + i];
    return length;
}

#endif
