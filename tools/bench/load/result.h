/* The line of JSON that every generator prints: the same keys, with a program's own figures in "figures". */
#ifndef WSLOOP_BENCH_RESULT_H
#define WSLOOP_BENCH_RESULT_H

#include <inttypes.h>
#include <stdio.h>

#include "clocks.h"
#include "faults.h"
#include "histogram.h"

/* Print the result of `operations` between two marks; `figures` is the inside of a JSON object.
 * Returns the exit code. */
static inline int print_result(uint64_t operations, struct mark from, struct mark to, const char *figures)
{
    printf("{\"generator\": \"c\", \"operations\": %" PRIu64 ", \"seconds\": %.9f, \"cpu_seconds\": %.9f, "
           "\"server_cpu_seconds\": %.9f, \"latency_us\": {\"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, "
           "\"p999\": %.1f, \"max\": %.1f}, ",
           operations, (double)(to.wall_ns - from.wall_ns) / 1e9, (double)(to.own_ns - from.own_ns) / 1e9,
           (double)(to.server_ns - from.server_ns) / 1e9, percentile_us(0.5), percentile_us(0.9),
           percentile_us(0.99), percentile_us(0.999), (double)slowest_ns / 1e3);
    printf("\"errors\": {\"wrong\": %" PRIu64 ", \"protocol\": %" PRIu64 ", \"lost\": %" PRIu64
           ", \"unanswered\": %" PRIu64 "}, \"unclean_closes\": %" PRIu64
           ", \"first_error\": \"%s\", \"figures\": {%s}}\n",
           faults.wrong, faults.protocol, faults.lost, faults.unanswered, faults.unclean_closes,
           faults.first, figures);
    return any_fault();
}

#endif
