/* The command line of loadgen.c. python_generator.py takes the same. */
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

enum { MAX_PIDS = 64 };

static struct {
    const char *host, *path;
    int port, connections, inflight, pids;
    size_t size;
    double warmup_s, seconds, drain_s;
    uint64_t messages;
    bool raw;
    uint8_t opcode;
    pid_t pid[MAX_PIDS];
} opt = {.host = "127.0.0.1", .path = "/echo", .connections = 100, .inflight = 1, .size = 128,
         .warmup_s = 0.5, .seconds = 3, .drain_s = 5, .messages = 100000000, .opcode = TEXT};

/* Fill in `opt`; end the process with code 2 if the options are wrong. */
static void parse_options(int argc, char **argv)
{
    static const struct option table[] = {
        {"host", 1, 0, 'h'}, {"port", 1, 0, 'p'}, {"path", 1, 0, 'P'}, {"connections", 1, 0, 'c'},
        {"size", 1, 0, 's'}, {"inflight", 1, 0, 'i'}, {"warmup", 1, 0, 'w'}, {"seconds", 1, 0, 't'},
        {"drain", 1, 0, 'd'}, {"messages", 1, 0, 'm'}, {"pid", 1, 0, 'I'}, {"raw", 0, 0, 'r'}, {"binary", 0, 0, 'b'}, {0}};
    int letter;
    while ((letter = getopt_long(argc, argv, "", table, NULL)) != -1) {
        switch (letter) {
        case 'h': opt.host = optarg; break;
        case 'p': opt.port = atoi(optarg); break;
        case 'P': opt.path = optarg; break;
        case 'c': opt.connections = atoi(optarg); break;
        case 's': opt.size = strtoull(optarg, NULL, 10); break;
        case 'i': opt.inflight = atoi(optarg); break;
        case 'w': opt.warmup_s = atof(optarg); break;
        case 't': opt.seconds = atof(optarg); break;
        case 'd': opt.drain_s = atof(optarg); break;
        case 'm': opt.messages = strtoull(optarg, NULL, 10); break;
        case 'I': if (opt.pids < MAX_PIDS) opt.pid[opt.pids++] = atoi(optarg); break;
        case 'r': opt.raw = true; break;
        case 'b': opt.opcode = BINARY; break;
        default: exit(2);
        }
    }
    if (optind != argc || opt.port < 1 || opt.port > 65535 || opt.connections < 1 || opt.connections > 100000 ||
        opt.inflight < 1 || opt.inflight > 10000 || opt.size > 64u << 20 || opt.seconds <= 0 ||
        opt.seconds > 3600 || opt.warmup_s < 0 || opt.warmup_s > 3600 ||
        opt.drain_s < 0 || opt.drain_s > 3600 || strlen(opt.path) > 1000) {
        fprintf(stderr, "usage: loadgen --port N [--host A] [--path P] [--connections N] [--size BYTES] "
                        "[--inflight N] [--warmup S] [--seconds S] [--drain S] [--messages N] [--pid N]... [--raw] [--binary]\n");
        exit(2);
    }
}

#endif
