/*
 * Memory under test.  Every word is known: most never change, eight stamps a page carry the page's generation.  Rewriting
 * a page checks its stamps first; besides, all pages are checked completely, round and round.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { STAMPS = 8, STRIDE = WORDS / STAMPS, CHECKED_PAGES_PER_TICK = 80, LEAST_TEST_MIB = 8 };

static uint64_t *memory;
static uint32_t *generations;
atomic_ulong memory_errors, passes, dirty_pages;

static size_t test_pages, rewritten_pages;

static uint64_t body(size_t page, size_t word) { return (page * WORDS + word + 1) * GOLDEN; }
static uint64_t stamp(size_t page, size_t word, uint32_t generation) {
    return (body(page, word) ^ ((uint64_t)generation << 20)) * GOLDEN + generation;
}

static void memory_error(size_t page, size_t word) {
    if (atomic_fetch_add(&memory_errors, 1) < 5) say("corrupt memory page=%zu word=%zu value=%016llx", page, word,
                                                     (unsigned long long)memory[page * WORDS + word]);
}

static void check_page(size_t page) {
    for (size_t word = 0; word < WORDS; word++) {
        uint64_t wanted = word % STRIDE ? body(page, word) : stamp(page, word, generations[page]);
        if (memory[page * WORDS + word] != wanted) { memory_error(page, word); return; }
    }
}

static void rewrite_page(size_t page) {
    uint32_t next = generations[page] + 1;
    for (size_t word = 0; word < WORDS; word += STRIDE) {
        if (memory[page * WORDS + word] != stamp(page, word, generations[page])) memory_error(page, word);
        memory[page * WORDS + word] = stamp(page, word, next);
    }
    generations[page] = next;
    atomic_fetch_add(&dirty_pages, 1);
}

static void *work_on_memory(void *unused) {
    long rate = boot_option("rate", 0), beat_ms = boot_option("beat", BEAT_MS);
    size_t at = 0, checked = 0, quota = rate ? (size_t)rate * 256 * beat_ms / 1000 : 256;
    double next = now_ms(CLOCK_MONOTONIC);
    if (quota == 0) quota = 1;
    for (;;) {
        for (size_t i = 0; rewritten_pages && i < quota; i++, at = (at + 1) % rewritten_pages) rewrite_page(at);
        int unpaced = rewritten_pages && !rate;
        for (int i = 0; i < CHECKED_PAGES_PER_TICK / (unpaced ? 8 : 1); i++) {
            check_page(checked);
            checked = (checked + 1) % test_pages;
            if (!checked) atomic_fetch_add(&passes, 1);
        }
        if (unpaced) continue;
        next += beat_ms;
        if (now_ms(CLOCK_MONOTONIC) > next + 1000) next = now_ms(CLOCK_MONOTONIC); /* no burst after a long stall */
        sleep_until(next);
    }
    return unused;
}

int start_memory(void) {
    size_t dirty = boot_option("dirty", 0), fill = boot_option("fill", 0);
    size_t mib = dirty + fill < LEAST_TEST_MIB ? LEAST_TEST_MIB : dirty + fill;
    rewritten_pages = dirty * 256;
    test_pages = mib * 256;
    memory = mmap(NULL, test_pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    generations = calloc(test_pages, sizeof *generations);
    if (memory == MAP_FAILED || !generations) return -1;
    for (size_t page = 0; page < test_pages; page++)
        for (size_t word = 0; word < WORDS; word++)
            memory[page * WORDS + word] = word % STRIDE ? body(page, word) : stamp(page, word, 0);
    pthread_t thread;
    return pthread_create(&thread, NULL, work_on_memory, NULL);
}
