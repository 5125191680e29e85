/* The server's frames, read one by one: pings are answered, data frames go to a function.
 *
 * Frames are read whole out of one shared buffer; only an unfinished tail is kept by its link. echo.c
 * reads its frames in pieces instead, since its messages may be of any size.
 */
#ifndef WSLOOP_BENCH_READER_H
#define WSLOOP_BENCH_READER_H

#include "link.h"

/* Take a data frame: its first byte and its payload. `now` is when it was read. */
typedef void take_frame(struct link *l, uint8_t first, const uint8_t *payload, size_t length, uint64_t now);

static struct {
    take_frame *take;
    bool compressed;       /* RSV1 may be set (RFC 7692) */
    bool masked;           /* --raw: a bare loop sends back what clients sent, masks and all */
} reader;

/* Take the frame at `data` if it is whole. Returns its bytes; 0 if more must come, or after a fault. */
static inline size_t read_frame(struct link *l, uint8_t *data, size_t length, uint64_t now)
{
    int extended = length < 2 ? 0 : extended_bytes(data[1]);
    size_t head = 2 + (size_t)extended;
    if (length < head)
        return 0;
    uint64_t size = frame_length(data, extended);
    uint8_t first[2] = {data[0], data[1] & (reader.masked ? 0x7f : 0xff)};
    const char *fault = header_fault(first, size, extended, reader.compressed);
    if (fault || size > SCRATCH_BYTES / 2) {
        fail(l, &faults.protocol, "%s", fault ? fault : "a frame larger than any that was sent");
        return 0;
    }
    head += reader.masked ? 4 : 0;
    if (length < head || length - head < size)
        return 0;
    if (reader.masked)
        mask(data + head, size, data + head - 4);
    uint8_t opcode = data[0] & 15;
    if (opcode == PING)
        put_control(l, PONG, data + head, size);
    else if (opcode == CLOSE)
        l->close_seen = true;
    else if (opcode != PONG)
        reader.take(l, data[0], data + head, size, now);
    return head + size;
}

/* Receive once; every whole frame is taken. False if the server has ended the connection. */
static inline bool receive(struct link *l)
{
    if (l->tail_len)
        memcpy(scratch, l->tail, l->tail_len);
    ssize_t got = recv(l->fd, scratch + l->tail_len, SCRATCH_BYTES - l->tail_len, 0);
    if (got == 0 || is_fatal(got))
        return false;
    if (got < 0)
        return true;
    size_t length = l->tail_len + (size_t)got, at = 0, count = 1;
    uint64_t now = now_ns();
    while (l->fd >= 0 && !l->close_seen && (count = read_frame(l, scratch + at, length - at, now)))
        at += count;
    l->tail_len = 0;
    if (l->fd >= 0 && at < length && !l->close_seen) {
        keep(&l->tail, &l->tail_room, scratch + at, 0, length - at);
        l->tail_len = length - at;
    }
    return true;
}

#endif
