/*
 * Disks under test.  Blocks are written in turn, past every cache, each with the next sequence number and a checksum, so
 * block s always holds the newest number that is s + 1 modulo the number of blocks.  A write that was acknowledged and is
 * missing is therefore noticed, also by the next boot.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { MAX_DISKS = 8, MAX_SLOTS = 4096, WRITES_PER_S = 20 };
static double between_ms;
static const uint64_t BLOCK_MAGIC = 0x6d69677261746f72ull;

struct block { uint64_t magic, slot, sequence, sum, pattern[WORDS - 4]; };
struct disk { char path[16]; int fd; uint64_t slots, sequence; struct block *block; };

atomic_ulong disk_errors, disk_writes, adopted_disks;
int disks;
/* Whoever powers off comes before those who read and write, however busy they are. */
static pthread_rwlock_t going_on = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;

static uint64_t block_sum(const struct block *block) {
    uint64_t sum = block->magic ^ block->slot * GOLDEN ^ block->sequence;
    for (size_t i = 0; i < WORDS - 4; i++) sum = (sum ^ block->pattern[i]) * GOLDEN + (sum >> 29);
    return sum;
}

static uint64_t stored_sequence(const struct disk *disk, uint64_t slot) {
    const struct block *b = disk->block;
    return b->magic == BLOCK_MAGIC && b->slot == slot && b->sum == block_sum(b) ? b->sequence : 0;
}

static uint64_t wanted_sequence(const struct disk *disk, uint64_t slot) {
    if (disk->sequence < slot + 1) return 0;
    return disk->sequence - (disk->sequence - slot - 1) % disk->slots;
}

static void disk_error(const struct disk *disk, const char *what, uint64_t slot) {
    if (atomic_fetch_add(&disk_errors, 1) < 5)
        say("corrupt %s %s block=%llu sequence=%llu (%s)", disk->path, what, (unsigned long long)slot,
            (unsigned long long)disk->sequence, errno ? strerror(errno) : "content");
}

static uint64_t read_slot(struct disk *disk, uint64_t slot) {
    errno = 0;
    if (pread(disk->fd, disk->block, PAGE, slot * PAGE) != PAGE) { disk_error(disk, "read", slot); return 0; }
    return stored_sequence(disk, slot);
}

static void check_slot(struct disk *disk, uint64_t slot) {
    uint64_t wanted = wanted_sequence(disk, slot);
    if (wanted && read_slot(disk, slot) != wanted) disk_error(disk, "check", slot);
}

/*
 * What an earlier boot wrote must all be there: every block but the one that may have been half written at the end. A guest
 * that powers off lets go of its disks while its threads still run: nothing is read after that, or it would count as damage.
 */
static void adopt_disk(struct disk *disk) {
    for (uint64_t slot = 0; slot < disk->slots; slot++) {
        pthread_rwlock_rdlock(&going_on);
        uint64_t sequence = read_slot(disk, slot);
        pthread_rwlock_unlock(&going_on);
        if (sequence > disk->sequence) disk->sequence = sequence;
        if (slot == 0 && !sequence && !disk->block->magic) break; /* never used: block 0 is the first to be written */
    }
    for (uint64_t slot = 0; disk->sequence && slot < disk->slots; slot++) {
        if (slot == disk->sequence % disk->slots) continue;
        pthread_rwlock_rdlock(&going_on);
        check_slot(disk, slot);
        pthread_rwlock_unlock(&going_on);
    }
    atomic_fetch_add(&adopted_disks, 1);
}

static void write_next(struct disk *disk) {
    uint64_t slot = disk->sequence % disk->slots;
    struct block *block = disk->block;
    *block = (struct block){.magic = BLOCK_MAGIC, .slot = slot, .sequence = disk->sequence + 1};
    for (size_t i = 0; i < WORDS - 4; i++) block->pattern[i] = (block->sequence * WORDS + i) * GOLDEN;
    block->sum = block_sum(block);
    errno = 0;
    if (pwrite(disk->fd, block, PAGE, slot * PAGE) != PAGE) {
        disk_error(disk, "write", slot);
        return;
    }
    disk->sequence++;
    atomic_fetch_add(&disk_writes, 1);
    check_slot(disk, slot);
}

static void *work_on_disk(void *argument) {
    struct disk *disk = argument;
    uint64_t other = 0;
    adopt_disk(disk);
    for (double next = now_ms(CLOCK_MONOTONIC);;) {
        pthread_rwlock_rdlock(&going_on);
        write_next(disk);
        other = (other + 7) % disk->slots;
        check_slot(disk, other);
        pthread_rwlock_unlock(&going_on);
        next += between_ms;
        if (now_ms(CLOCK_MONOTONIC) > next + 1000) next = now_ms(CLOCK_MONOTONIC);
        sleep_until(next);
    }
    return NULL;
}

void start_disks(void) {
    static struct disk all[MAX_DISKS];
    between_ms = 1000.0 / boot_option("writes", WRITES_PER_S);
    for (int i = 0; i < MAX_DISKS; i++) {
        struct disk *disk = &all[disks];
        uint64_t bytes = 0;
        snprintf(disk->path, sizeof disk->path, "/dev/vd%c", 'a' + i);
        disk->fd = open(disk->path, O_RDWR | O_DIRECT | O_SYNC);
        if (disk->fd < 0 || ioctl(disk->fd, BLKGETSIZE64, &bytes) || bytes < PAGE) continue;
        disk->slots = bytes / PAGE < MAX_SLOTS ? bytes / PAGE : MAX_SLOTS;
        if (posix_memalign((void **)&disk->block, PAGE, PAGE)) continue;
        pthread_t thread;
        if (!pthread_create(&thread, NULL, work_on_disk, disk)) disks++;
    }
}

void stop_disks(void) { pthread_rwlock_wrlock(&going_on); }
