/* The limit: an epoll loop in C that sends back the bytes it received, unparsed.
 *
 * No handshake, no frames, no timers: what the kernel alone costs per message. In a fan-out (--role fanout) it
 * cuts what it reads into frames of --frame-bytes and sends each to all connections, one call for each.
 * Usage: bare_epoll --host A --port N --role echo|fanout|... [--frame-bytes N]
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RECV_BYTES = 64 * 1024, MAX_EVENTS = 512, MAX_DESCRIPTORS = 1 << 16 };

struct peer {
    char *queued;                     /* what the kernel did not take yet; nothing is read meanwhile */
    size_t at, length;
};

static struct peer peers[MAX_DESCRIPTORS];
static int members[MAX_DESCRIPTORS], member_count;
static char buffer[RECV_BYTES];
static int epoll_fd, frame_bytes;
static bool fanning_out;

static void watch(int fd, int operation, unsigned interest)
{
    struct epoll_event event = {.events = interest, .data.fd = fd};
    epoll_ctl(epoll_fd, operation, fd, &event);
}

static void lose(int fd)
{
    free(peers[fd].queued);
    peers[fd] = (struct peer){0};
    close(fd);
}

static void echo(int fd)
{
    struct peer *p = &peers[fd];
    ssize_t length = p->queued ? (ssize_t)p->length : recv(fd, buffer, RECV_BYTES, 0);
    ssize_t sent = length > 0 ? send(fd, p->queued ? p->queued + p->at : buffer, (size_t)length, MSG_NOSIGNAL) : length;
    if (length == 0 || (sent < 0 && errno != EAGAIN)) {
        lose(fd);
        return;
    }
    if (length < 0 || (sent == length && !p->queued))
        return;
    size_t took = sent < 0 ? 0 : (size_t)sent;
    if (!p->queued) {
        p->length = (size_t)length - took;
        p->at = 0;
        p->queued = malloc(p->length);
        memcpy(p->queued, buffer + took, p->length);
        watch(fd, EPOLL_CTL_MOD, EPOLLOUT);
        return;
    }
    p->at += took;
    p->length -= took;
    if (!p->length) {
        free(p->queued);
        p->queued = NULL;
        watch(fd, EPOLL_CTL_MOD, EPOLLIN);
    }
}

/* Publishers are few and their frames come whole; a peer that is lost ends the measurement. */
static void fan_out(int fd)
{
    ssize_t got = recv(fd, buffer, RECV_BYTES, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        exit(0);
    for (ssize_t at = 0; at < got; at += frame_bytes)
        for (int i = 0; i < member_count; i++)
            if (send(members[i], buffer + at, (size_t)(got - at < frame_bytes ? got - at : frame_bytes), MSG_NOSIGNAL) < 0)
                exit(1);
}

static void accept_one(int listener)
{
    int one = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0 || fd >= MAX_DESCRIPTORS)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (fanning_out)
        members[member_count++] = fd;
    watch(fd, EPOLL_CTL_ADD, EPOLLIN);
}

static int listen_on(const char *host, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(fd, 4096) != 0) {
        perror("listen");
        exit(1);
    }
    return fd;
}

int main(int argc, char **argv)
{
    const char *host = "127.0.0.1";
    int port = 0;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--host") == 0)
            host = argv[i + 1];
        else if (strcmp(argv[i], "--port") == 0)
            port = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--role") == 0)
            fanning_out = strcmp(argv[i + 1], "fanout") == 0;
        else if (strcmp(argv[i], "--frame-bytes") == 0)
            frame_bytes = atoi(argv[i + 1]);
    }
    if (fanning_out && frame_bytes < 1) {
        fprintf(stderr, "a fan-out needs --frame-bytes\n");
        return 2;
    }
    int listener = listen_on(host, port);
    struct epoll_event events[MAX_EVENTS];
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    watch(listener, EPOLL_CTL_ADD, EPOLLIN);
    printf("listening on %d\n", port);
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(epoll_fd, events, MAX_EVENTS, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener)
                accept_one(listener);
            else if (fanning_out)
                fan_out(fd);
            else
                echo(fd);
        }
    }
}
