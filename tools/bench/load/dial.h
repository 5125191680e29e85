/* Connecting without waiting. */
#ifndef WSLOOP_BENCH_DIAL_H
#define WSLOOP_BENCH_DIAL_H

#include "handshake.h"

static struct handshake shared_handshake;
static struct sockaddr_in dialled;

static inline bool prepare_dialling(void)
{
    return server_address(&dialled) && make_handshake(&shared_handshake);
}

/* Begin to connect; it is done when the descriptor is writable. Returns -1 and errno on failure. */
static inline int dial(uint32_t number)
{
    int fd = make_socket(number, SOCK_NONBLOCK);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&dialled, sizeof dialled) != 0 && errno != EINPROGRESS) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* Ask for the upgrade on a descriptor that has become writable. */
static inline bool ask(int fd)
{
    return send(fd, shared_handshake.request, shared_handshake.length, MSG_NOSIGNAL) ==
           (ssize_t)shared_handshake.length;
}

/* The length of the answer's head in `data` (closed by a NUL behind `length`), or 0 if it is not whole. */
static inline size_t head_length(const char *data)
{
    const char *end = strstr(data, "\r\n\r\n");
    return end ? (size_t)(end + 4 - data) : 0;
}

#endif
