/* The client's side of the WebSocket opening handshake (RFC 6455 section 4.1): a request, and the judge
 * of its answer: status, Upgrade, Connection, Sec-WebSocket-Accept, and that no extension or
 * subprotocol was forced upon the client. SHA-1 is RFC 3174's; it is needed for the accept value.
 */
#ifndef WSLOOP_BENCH_HANDSHAKE_H
#define WSLOOP_BENCH_HANDSHAKE_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "options.h"

enum { HEAD_BYTES = 8192 };

static inline uint32_t rotate(uint32_t x, int by) { return x << by | x >> (32 - by); }

/* SHA-1 of at most 119 bytes (two blocks), which a key and the GUID never exceed. */
static inline void sha1(const char *text, uint8_t digest[20])
{
    uint8_t block[128] = {0};
    size_t length = strlen(text), blocks = length < 56 ? 1 : 2;
    memcpy(block, text, length);
    block[length] = 0x80;
    block[blocks * 64 - 2] = (uint8_t)(length * 8 >> 8);
    block[blocks * 64 - 1] = (uint8_t)(length * 8);
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    for (size_t b = 0; b < blocks; b++) {
        uint32_t w[80], v[5];
        for (int i = 0; i < 16; i++) {
            const uint8_t *p = block + b * 64 + i * 4;
            w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
        }
        for (int i = 16; i < 80; i++)
            w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
        memcpy(v, h, sizeof v);
        for (int i = 0; i < 80; i++) {
            uint32_t f = i < 20   ? ((v[1] & v[2]) | (~v[1] & v[3])) + 0x5a827999
                         : i < 40 ? (v[1] ^ v[2] ^ v[3]) + 0x6ed9eba1
                         : i < 60 ? ((v[1] & v[2]) | (v[1] & v[3]) | (v[2] & v[3])) + 0x8f1bbcdc
                                  : (v[1] ^ v[2] ^ v[3]) + 0xca62c1d6;
            uint32_t next = rotate(v[0], 5) + f + v[4] + w[i];
            v[4] = v[3];
            v[3] = v[2];
            v[2] = rotate(v[1], 30);
            v[1] = v[0];
            v[0] = next;
        }
        for (int i = 0; i < 5; i++)
            h[i] += v[i];
    }
    for (int i = 0; i < 20; i++)
        digest[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
}

static inline void base64(const uint8_t *data, size_t length, char *out)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < length; i += 3) {
        size_t rest = length - i;
        uint32_t word = (uint32_t)data[i] << 16 | (rest > 1 ? (uint32_t)data[i + 1] << 8 : 0) |
                        (rest > 2 ? data[i + 2] : 0);
        *out++ = letters[word >> 18 & 63];
        *out++ = letters[word >> 12 & 63];
        *out++ = rest > 1 ? letters[word >> 6 & 63] : '=';
        *out++ = rest > 2 ? letters[word & 63] : '=';
    }
    *out = 0;
}

/* Copy a header's value (the name's case does not matter) to out, or "" if it is absent. */
static inline void header_value(const char *head, const char *name, char *out, size_t size)
{
    size_t length = strlen(name);
    out[0] = 0;
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, length) == 0 && line[2 + length] == ':') {
            const char *value = line + 3 + length;
            value += strspn(value, " \t");
            size_t count = strcspn(value, "\r");
            while (count && (value[count - 1] == ' ' || value[count - 1] == '\t'))
                count--;
            snprintf(out, size, "%.*s", (int)count, value);
            return;
        }
    }
}

/* A request, and what the answer must say. One serves all connections: that a key is fresh costs a server
 * nothing. */
struct handshake {
    char request[HEAD_BYTES], accept[32];
    size_t length;
};

static inline bool make_handshake(struct handshake *h)
{
    char key[32], text[96];
    uint8_t nonce[16], digest[20];
    if (getrandom(nonce, sizeof nonce, 0) != sizeof nonce)
        return false;
    base64(nonce, sizeof nonce, key);
    snprintf(text, sizeof text, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    sha1(text, digest);
    base64(digest, sizeof digest, h->accept);
    h->length = (size_t)snprintf(h->request, sizeof h->request,
                                 "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                 "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
                                 opt.path, opt.host, opt.port, key,
                                 opt.deflate ? "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
                                             : "");
    return true;
}

/* What the server agreed to, of the last answer judged: for the reader of a deflate cell. */
static struct {
    bool deflate, server_no_context_takeover;
    int server_max_window_bits;
} agreed;

static inline void note_extension(const char *value)
{
    const char *bits = strstr(value, "server_max_window_bits=");
    agreed.deflate = strncmp(value, "permessage-deflate", 18) == 0;
    agreed.server_no_context_takeover = strstr(value, "server_no_context_takeover") != NULL;
    agreed.server_max_window_bits = bits ? atoi(bits + strlen("server_max_window_bits=")) : 15;
}

/* Judge an answer's head, by RFC 6455 section 4.1; writes what is wrong to error. */
static inline bool judge_answer(const struct handshake *h, const char *head, char *error, size_t size)
{
    char value[256];
    const char *wrong = NULL;
    if (strncmp(head, "HTTP/1.1 101", 12) != 0) {
        snprintf(error, size, "handshake refused: %.*s", (int)strcspn(head, "\r"), head);
        return false;
    }
    header_value(head, "Upgrade", value, sizeof value);
    if (strcasecmp(value, "websocket") != 0)
        wrong = "Upgrade";
    header_value(head, "Connection", value, sizeof value);
    if (!strcasestr(value, "upgrade"))
        wrong = "Connection";
    header_value(head, "Sec-WebSocket-Accept", value, sizeof value);
    if (strcmp(value, h->accept) != 0)
        wrong = "Sec-WebSocket-Accept";
    header_value(head, "Sec-WebSocket-Extensions", value, sizeof value);
    note_extension(value);
    if (opt.deflate ? !agreed.deflate : value[0])
        wrong = "Sec-WebSocket-Extensions";
    header_value(head, "Sec-WebSocket-Protocol", value, sizeof value);
    if (value[0])
        wrong = "Sec-WebSocket-Protocol";
    if (wrong)
        snprintf(error, size, "handshake answered with a wrong %s", wrong);
    return !wrong;
}

/* Return a socket for connection `number`, bound to one of --sources' addresses, or -1 and errno. The kernel
 * chooses the port when it connects: the ports of one address do not suffice for all short connections. */
static inline int make_socket(uint32_t number, int type)
{
    struct sockaddr_in from = {.sin_family = AF_INET};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | type, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (!opt.sources)
        return fd;
    from.sin_addr.s_addr = htonl(0x7f000002u + number % (uint32_t)opt.sources);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&from, sizeof from) == 0)
        return fd;
    close(fd);
    return -1;
}

static inline bool server_address(struct sockaddr_in *address)
{
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)opt.port)};
    return inet_pton(AF_INET, opt.host, &address->sin_addr) == 1;
}

#endif
