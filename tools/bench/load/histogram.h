/* Latencies: a log-linear histogram in nanoseconds, under 1.6 % of error. */
#ifndef WSLOOP_BENCH_HISTOGRAM_H
#define WSLOOP_BENCH_HISTOGRAM_H

#include <stdint.h>

enum { SUB_BUCKETS = 64 /* per power of two */, BUCKETS = 40 * SUB_BUCKETS };

static uint64_t histogram[BUCKETS], recorded, slowest_ns;

static inline void record(uint64_t latency_ns)
{
    if (latency_ns > slowest_ns)
        slowest_ns = latency_ns;
    uint64_t value = latency_ns | SUB_BUCKETS;
    int shift = 63 - __builtin_clzll(value) - 6;   /* 6 = log2(SUB_BUCKETS) */
    uint64_t index = (uint64_t)shift * SUB_BUCKETS + ((latency_ns >> shift) & (2 * SUB_BUCKETS - 1));
    histogram[index < BUCKETS ? index : BUCKETS - 1]++;
    recorded++;
}

/* The least latency that a bucket counts. */
static inline uint64_t bucket_ns(uint64_t index)
{
    uint64_t shift = index < 2 * SUB_BUCKETS ? 0 : index / SUB_BUCKETS - 1;
    return (index - shift * SUB_BUCKETS) << shift;
}

static inline double percentile_us(double fraction)
{
    uint64_t wanted = (uint64_t)((double)recorded * fraction), seen = 0;
    for (uint64_t index = 0; index < BUCKETS; index++) {
        seen += histogram[index];
        if (seen > wanted)
            return (double)bucket_ns(index) / 1e3;
    }
    return (double)slowest_ns / 1e3;
}

#endif
