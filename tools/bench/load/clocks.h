/* Time, the CPU time of this process and of the server's, and the measured interval between two marks. */
#ifndef WSLOOP_BENCH_CLOCKS_H
#define WSLOOP_BENCH_CLOCKS_H

#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "options.h"

static inline uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    if (clock_gettime(clock, &t) != 0)
        return 0;
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline uint64_t now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static inline uint64_t after_s(double seconds)
{
    return now_ns() + (uint64_t)(seconds * 1e9);
}

/* Milliseconds until `deadline_ns` for epoll_wait, between 0 and `most`. */
static inline int wait_ms(uint64_t deadline_ns, int most)
{
    uint64_t now = now_ns(), left_ms = now < deadline_ns ? (deadline_ns - now) / 1000000 : 0;
    return left_ms > (uint64_t)most ? most : (int)left_ms;
}

struct mark {
    uint64_t wall_ns, own_ns, server_ns;
};

/* Read all clocks. The server's are those of its processes (--pid), all their threads included. */
static inline struct mark take_mark(void)
{
    struct mark mark = {0};
    for (int i = 0; i < opt.pids; i++) {
        clockid_t clock;
        if (clock_getcpuclockid(opt.pid[i], &clock) == 0)
            mark.server_ns += clock_ns(clock);
    }
    mark.own_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    mark.wall_ns = now_ns();
    return mark;
}

#endif
