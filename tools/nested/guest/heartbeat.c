/* The heartbeat: what the guest noticed of being moved, once a second.  init.c says what the fields mean. */
#define _GNU_SOURCE
#include "guest.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/io.h>

static int cmos(int reg) {
    outb(reg, 0x70);
    int bcd = inb(0x71);
    return (bcd >> 4) * 10 + (bcd & 15);
}

static const char *verdict(char *text, size_t size, unsigned long errors, int present) {
    if (errors) snprintf(text, size, "bad:%lu", errors);
    else snprintf(text, size, "%s", present ? "ok" : "none");
    return text;
}

static void print_heartbeat(double gap_last, double gap_max, double lost) {
    static unsigned long n;
    char mem[32], disk[32];
    say("heartbeat n=%lu t_ms=%.0f wall_ms=%.0f gap_last_ms=%.0f gap_max_ms=%.0f lost_ms=%.0f mem=%s passes=%lu dirty_mib=%lu "
        "disk=%s adopted=%lu writes=%lu", ++n, now_ms(CLOCK_MONOTONIC), now_ms(CLOCK_REALTIME), gap_last, gap_max, lost,
        verdict(mem, sizeof mem, memory_errors, 1), passes, dirty_pages / 256,
        verdict(disk, sizeof disk, disk_errors, disks), adopted_disks, disk_writes);
}

/*
 * "ahead" is CMOS time minus the guest's own clock.  It grows by what the guest was stopped for.  An edge that fell into
 * a blackout is seen late, so ahead is compared with the lower of the two values before it.
 */
static void *beat(void *unused) {
    double next = now_ms(CLOCK_MONOTONIC), last = next, edge = 0, pause = 0, gap_max = 0, lost = 0, ahead[3] = {0};
    double printed = next;
    int second = cmos(0), edges = 0;
    long elapsed = 0, beat_ms = boot_option("beat", BEAT_MS);
    for (;;) {
        double now = now_ms(CLOCK_MONOTONIC);
        int expected = beat_ms <= BEAT_MS && (edges == 0 || (now > edge + 985 && now < edge + 1015));
        next = expected ? now + 0.5 : next + beat_ms > now ? next + beat_ms : now + beat_ms;
        sleep_until(next);
        now = now_ms(CLOCK_MONOTONIC);
        if (now - last > pause) pause = now - last;
        last = now;
        int seen = cmos(0);
        if (seen == second && now < printed + 2000) continue;
        elapsed += (seen - second + 60) % 60;
        double stopped = 0;
        if (seen != second) {
            second = seen, edge = now;
            ahead[2] = ahead[1], ahead[1] = ahead[0], ahead[0] = elapsed * 1e3 - now;
            double step = ahead[0] - ahead[1], base = ahead[2] < ahead[1] && edges > 1 ? ahead[2] : ahead[1];
            if (edges > 0 && (step > 4 || step < -4)) lost += step;
            if (edges > 0 && ahead[0] - base > 4) stopped = ahead[0] - base;
            edges++;
        }
        if (pause + stopped > gap_max) gap_max = pause + stopped;
        print_heartbeat(pause + stopped, gap_max, lost);
        printed = now, pause = 0, last = now_ms(CLOCK_MONOTONIC);
    }
    return unused;
}

void start_heartbeat(void) {
    pthread_t thread;
    pthread_attr_t first;
    if (iopl(3)) say("no port access, heartbeat gaps miss stopped time");
    pthread_attr_init(&first);
    pthread_attr_setinheritsched(&first, PTHREAD_EXPLICIT_SCHED);
    pthread_attr_setschedpolicy(&first, SCHED_FIFO);
    pthread_attr_setschedparam(&first, &(struct sched_param){.sched_priority = 50});
    pthread_create(&thread, &first, beat, NULL);
}
