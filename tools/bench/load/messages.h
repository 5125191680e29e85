/* What the generators send and expect back: numbered messages, RFC 6455 section 5 framing.
 *
 * A message is a pattern of printable ASCII whose first 16 bytes are its id, so that an echo that
 * is late, doubled or of another connection differs. Masking keys follow from the id: fresh for
 * each frame, and known again when --raw must compare the masked bytes.
 */
#ifndef WSLOOP_BENCH_MESSAGES_H
#define WSLOOP_BENCH_MESSAGES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { CONTINUATION = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };
enum { STAMP_BYTES = 16, CONTROL_BYTES = 10 + 4 + 125 /* room for a control frame */ };

static inline uint64_t mix(uint64_t x)       /* splitmix64's finisher */
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* A message's id: its connection and its number on that connection. */
static inline uint64_t message_id(uint32_t connection, uint64_t number)
{
    return ((uint64_t)connection << 40) | (number & 0xffffffffffu);
}

/* Write the first bytes of a message: its id in hex, lowest digit first, cut to the size. */
static inline size_t stamp(uint8_t *out, uint64_t id, size_t size)
{
    size_t count = size < STAMP_BYTES ? size : STAMP_BYTES;
    for (size_t i = 0; i < count; i++)
        out[i] = (uint8_t)"0123456789abcdef"[(id >> (4 * i)) & 15];
    return count;
}

/* Write the header of a client's FIN frame, without the mask's key; return its length. */
static inline size_t put_header(uint8_t *out, uint8_t opcode, size_t length)
{
    out[0] = 0x80 | opcode;
    if (length < 126) {
        out[1] = 0x80 | (uint8_t)length;
        return 2;
    }
    int width = length < 65536 ? 2 : 8;
    out[1] = 0x80 | (width == 2 ? 126 : 127);
    for (int i = 0; i < width; i++)
        out[2 + i] = (uint8_t)((uint64_t)length >> (8 * (width - 1 - i)));
    return 2 + (size_t)width;
}

static inline void mask(uint8_t *data, size_t length, const uint8_t key[4])
{
    uint64_t wide, word;
    memcpy(&wide, key, 4);
    memcpy((uint8_t *)&wide + 4, key, 4);
    size_t at = 0;
    for (; at + 8 <= length; at += 8) {
        memcpy(&word, data + at, 8);
        word ^= wide;
        memcpy(data + at, &word, 8);
    }
    for (; at < length; at++)
        data[at] ^= key[at & 3];
}

/* Make the payload that all messages share behind their stamps: printable ASCII. */
static inline uint8_t *make_pattern(size_t size)
{
    uint8_t *pattern = malloc(size + 1);
    for (size_t i = 0; i < size; i++)
        pattern[i] = (uint8_t)(' ' + mix(i) % 95);
    return pattern;
}

/* Write a client's whole frame around `payload`; return its length. */
static inline size_t build_frame(uint8_t *out, uint8_t opcode, const uint8_t *payload, size_t size, uint32_t key)
{
    size_t at = put_header(out, opcode, size);
    memcpy(out + at, &key, 4);
    memcpy(out + at + 4, payload, size);
    mask(out + at + 4, size, (uint8_t *)&key);
    return at + 4 + size;
}

/* Write the whole masked frame of message `id`; return its length. */
static inline size_t build(uint8_t *out, uint8_t opcode, const uint8_t *pattern, size_t size, uint64_t id)
{
    uint32_t key = (uint32_t)mix(id);
    size_t at = put_header(out, opcode, size);
    memcpy(out + at, &key, 4);
    memcpy(out + at + 4, pattern, size);
    stamp(out + at + 4, id, size);
    mask(out + at + 4, size, (uint8_t *)&key);
    return at + 4 + size;
}

/* Is `data` what stands at offset `at` of the payload of message `id`? */
static inline bool is_piece(const uint8_t *data, size_t length, size_t at, const uint8_t *pattern, size_t size, uint64_t id)
{
    uint8_t head[STAMP_BYTES];
    size_t stamped = stamp(head, id, size), done = 0;
    if (at + length > size)
        return false;
    if (at < stamped) {
        done = stamped - at < length ? stamped - at : length;
        if (memcmp(data, head + at, done) != 0)
            return false;
    }
    return memcmp(data + done, pattern + at + done, length - done) == 0;
}

#endif
