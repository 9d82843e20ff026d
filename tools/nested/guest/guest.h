/* What the parts of the guest's only program share. */
#ifndef GUEST_H
#define GUEST_H

#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

enum { PAGE = 4096, WORDS = PAGE / 8, BEAT_MS = 10 };
static const uint64_t GOLDEN = 0x9E3779B97F4A7C15ull; /* multiplying by it spreads a counter over all bits */

/* init.c */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
double now_ms(clockid_t clock);
void sleep_until(double monotonic_ms);
long boot_option(const char *name, long otherwise);

/* memory.c */
extern atomic_ulong memory_errors, passes, dirty_pages;
int start_memory(void);

/* disks.c */
extern atomic_ulong disk_errors, disk_writes, adopted_disks;
extern int disks;
void start_disks(void);
void stop_disks(void); /* returns when no write is on its way, and lets none begin */

/* heartbeat.c */
void start_heartbeat(void);

#endif
