/* The command line that all generators share; each uses what concerns it. python_generator.py takes that of echo.c. */
#ifndef WSLOOP_BENCH_OPTIONS_H
#define WSLOOP_BENCH_OPTIONS_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "messages.h"

enum { MAX_PIDS = 64, MAX_SECONDS = 3600, MAX_MESSAGE = 64 << 20 };

static struct {
    const char *host, *path;
    const char *payload;   /* file: what a message holds, instead of printable ASCII of `size` bytes */
    const char *dump;      /* file: what the first subscriber received, for the runner to judge */
    int port, connections, inflight, pids;
    int publishers;        /* connections that publish, each `inflight` at a time */
    int sources;           /* addresses 127.0.0.2, 127.0.0.3, ... to connect from; 0: the usual one */
    int channels;          /* to subscribe to, all of them by each connection */
    int pace;              /* messages a second of a polite peer */
    size_t size, stamp_at; /* of a payload; where in it a message's id stands */
    double warmup_s, seconds, drain_s, settle_s;
    uint64_t operations;   /* end the measured interval at this count */
    bool raw, deflate;
    uint8_t opcode;
    pid_t pid[MAX_PIDS];
} opt = {.host = "127.0.0.1", .path = "/echo", .connections = 100, .inflight = 1, .publishers = 1,
         .channels = 1, .pace = 200,
         .size = 128, .warmup_s = 0.5, .seconds = 3, .drain_s = 5, .settle_s = 1, .operations = 100000000,
         .opcode = TEXT};

static const char usage[] =
    "usage: %s --port N [--host A] [--path P] [--connections N] [--size BYTES] [--inflight N] [--publishers N] "
    "[--sources N] [--channels N] [--pace HZ] [--warmup S] [--seconds S] [--drain S] [--settle S] [--operations N] [--pid N]... "
    "[--payload FILE] [--stamp-at N] [--dump FILE] [--deflate] [--raw] [--binary]\n";

static inline bool in_seconds(double value)
{
    return value >= 0 && value <= MAX_SECONDS;
}

static inline bool options_are_good(void)
{
    return opt.port >= 1 && opt.port <= 65535 && opt.connections >= 1 && opt.connections <= 100000 &&
           opt.inflight >= 1 && opt.inflight <= 10000 && opt.publishers >= 1 && opt.publishers <= opt.connections &&
           opt.publishers <= 1000 && opt.sources >= 0 && opt.sources <= 250 && opt.channels >= 1 &&
           opt.channels <= 100 && opt.pace >= 1 && opt.pace <= 10000 &&
           opt.size <= MAX_MESSAGE && opt.stamp_at <= opt.size && opt.seconds > 0 && in_seconds(opt.seconds) &&
           in_seconds(opt.warmup_s) && in_seconds(opt.drain_s) && in_seconds(opt.settle_s) && strlen(opt.path) <= 1000;
}

/* Fill in `opt`; end the process with code 2 if the options are wrong. */
static inline void parse_options(int argc, char **argv)
{
    static const struct option table[] = {
        {"host", 1, 0, 'h'}, {"port", 1, 0, 'p'}, {"path", 1, 0, 'P'}, {"connections", 1, 0, 'c'},
        {"size", 1, 0, 's'}, {"inflight", 1, 0, 'i'}, {"publishers", 1, 0, 'u'}, {"sources", 1, 0, 'S'},
        {"channels", 1, 0, 'C'}, {"pace", 1, 0, 'a'}, {"warmup", 1, 0, 'w'}, {"seconds", 1, 0, 't'}, {"drain", 1, 0, 'd'},
        {"settle", 1, 0, 'e'}, {"operations", 1, 0, 'o'}, {"pid", 1, 0, 'I'}, {"payload", 1, 0, 'f'},
        {"stamp-at", 1, 0, 'A'}, {"dump", 1, 0, 'D'}, {"deflate", 0, 0, 'z'}, {"raw", 0, 0, 'r'},
        {"binary", 0, 0, 'b'}, {0}};
    int letter;
    while ((letter = getopt_long(argc, argv, "", table, NULL)) != -1) {
        switch (letter) {
        case 'h': opt.host = optarg; break;
        case 'p': opt.port = atoi(optarg); break;
        case 'P': opt.path = optarg; break;
        case 'c': opt.connections = atoi(optarg); break;
        case 's': opt.size = strtoull(optarg, NULL, 10); break;
        case 'i': opt.inflight = atoi(optarg); break;
        case 'u': opt.publishers = atoi(optarg); break;
        case 'S': opt.sources = atoi(optarg); break;
        case 'C': opt.channels = atoi(optarg); break;
        case 'a': opt.pace = atoi(optarg); break;
        case 'w': opt.warmup_s = atof(optarg); break;
        case 't': opt.seconds = atof(optarg); break;
        case 'd': opt.drain_s = atof(optarg); break;
        case 'e': opt.settle_s = atof(optarg); break;
        case 'o': opt.operations = strtoull(optarg, NULL, 10); break;
        case 'I': if (opt.pids < MAX_PIDS) opt.pid[opt.pids++] = atoi(optarg); break;
        case 'f': opt.payload = optarg; break;
        case 'A': opt.stamp_at = strtoull(optarg, NULL, 10); break;
        case 'D': opt.dump = optarg; break;
        case 'z': opt.deflate = true; break;
        case 'r': opt.raw = true; break;
        case 'b': opt.opcode = BINARY; break;
        default: exit(2);
        }
    }
    if (optind != argc || !options_are_good()) {
        fprintf(stderr, usage, argv[0]);
        exit(2);
    }
}

#endif
