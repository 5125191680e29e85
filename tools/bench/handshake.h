/* The client's side of the WebSocket opening handshake (RFC 6455 section 4.1) for loadgen.c.
 *
 * open_websocket() connects, asks for the upgrade and checks the answer: status, Upgrade,
 * Connection, Sec-WebSocket-Accept, and that no extension or subprotocol was forced upon it. Bytes
 * behind the answer stay in the socket. SHA-1 is RFC 3174's; it is needed for the accept value.
 */
#ifndef WSLOOP_BENCH_HANDSHAKE_H
#define WSLOOP_BENCH_HANDSHAKE_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { HEAD_BYTES = 8192, CONNECT_S = 10 };

static uint32_t rotate(uint32_t x, int by) { return x << by | x >> (32 - by); }

/* SHA-1 of at most 119 bytes (two blocks), which a key and the GUID never exceed. */
static void sha1(const char *text, uint8_t digest[20])
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

static void base64(const uint8_t *data, size_t length, char *out)
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
static void header_value(const char *head, const char *name, char *out, size_t size)
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

/* Read exactly the response head: peek, look for its end, then take no byte beyond it. */
static bool read_head(int fd, char *head)
{
    size_t have = 0;
    while (have < HEAD_BYTES) {
        ssize_t got = recv(fd, head + have, HEAD_BYTES - have, MSG_PEEK);
        if (got <= 0)
            return false;
        head[have + (size_t)got] = 0;
        char *end = strstr(head, "\r\n\r\n");
        size_t take = end ? (size_t)(end + 4 - head) - have : (size_t)got;
        if (recv(fd, head + have, take, 0) != (ssize_t)take)
            return false;
        have += take;
        head[have] = 0;
        if (end)
            return true;
    }
    return false;
}

static bool upgrade(int fd, const char *host, int port, const char *path, char *error, size_t size)
{
    char key[32], text[96], accept[32], value[256], head[HEAD_BYTES + 1];
    uint8_t nonce[16], digest[20];
    if (getrandom(nonce, sizeof nonce, 0) != sizeof nonce) {
        snprintf(error, size, "no random bytes for the key");
        return false;
    }
    base64(nonce, sizeof nonce, key);
    snprintf(text, sizeof text, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    sha1(text, digest);
    base64(digest, sizeof digest, accept);
    int length = snprintf(head, sizeof head,
                          "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n",
                          path, host, port, key);
    if (send(fd, head, (size_t)length, MSG_NOSIGNAL) != length || !read_head(fd, head)) {
        snprintf(error, size, "no answer to the handshake");
        return false;
    }
    if (strncmp(head, "HTTP/1.1 101", 12) != 0) {
        snprintf(error, size, "handshake refused: %.*s", (int)strcspn(head, "\r"), head);
        return false;
    }
    const char *wrong = NULL;
    header_value(head, "Upgrade", value, sizeof value);
    if (strcasecmp(value, "websocket") != 0)
        wrong = "Upgrade";
    header_value(head, "Connection", value, sizeof value);
    if (!strcasestr(value, "upgrade"))
        wrong = "Connection";
    header_value(head, "Sec-WebSocket-Accept", value, sizeof value);
    if (strcmp(value, accept) != 0)
        wrong = "Sec-WebSocket-Accept";
    header_value(head, "Sec-WebSocket-Extensions", value, sizeof value);
    if (value[0])
        wrong = "Sec-WebSocket-Extensions";
    header_value(head, "Sec-WebSocket-Protocol", value, sizeof value);
    if (value[0])
        wrong = "Sec-WebSocket-Protocol";
    if (wrong)
        snprintf(error, size, "handshake answered with a wrong %s", wrong);
    return !wrong;
}

/* Connect, and upgrade unless path is NULL. Returns a non-blocking descriptor, or -1 and a text. */
static int open_websocket(const char *host, int port, const char *path, char *error, size_t size)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct timeval limit = {.tv_sec = CONNECT_S};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        snprintf(error, size, "%.40s is not an IPv4 address", host);
    } else if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
               setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0 ||
               setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0 ||
               connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        snprintf(error, size, "connect: %s", strerror(errno));
    } else if (!path || upgrade(fd, host, port, path, error, size)) {
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

#endif
