/* What makes a measurement worthless: counted, and the first one told in words. */
#ifndef WSLOOP_BENCH_FAULTS_H
#define WSLOOP_BENCH_FAULTS_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

static struct {
    uint64_t wrong;        /* a message that is not the one expected */
    uint64_t protocol;     /* a frame or an answer that breaks RFC 6455 */
    uint64_t lost;         /* a connection that could not be had, or ended early */
    uint64_t unanswered;   /* messages still awaited when the drain's time was over */
    uint64_t unclean_closes;
    char first[256];
} faults;

/* Count a fault of connection `id` (-1: of none). */
static inline void note(uint64_t *counter, int id, const char *format, ...)
{
    ++*counter;
    if (faults.first[0])
        return;
    va_list args;
    va_start(args, format);
    int at = id < 0 ? 0 : snprintf(faults.first, sizeof faults.first, "connection %d: ", id);
    vsnprintf(faults.first + at, sizeof faults.first - (size_t)at, format, args);
    va_end(args);
    for (char *p = faults.first; *p; p++)                /* it becomes part of a line of JSON */
        if (*p == '"' || *p == '\\' || (unsigned char)*p < ' ' || (unsigned char)*p > '~')
            *p = '?';
}

static inline bool any_fault(void)
{
    return faults.wrong || faults.protocol || faults.lost || faults.unanswered;
}

#endif
