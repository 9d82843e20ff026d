/*
 * The whole user space of a lab guest: a static program that runs as process 1, works, and reports what it sees.
 *
 * It dirties memory at a set rate, writes sequence-numbered blocks to every disk, re-reads and checks all of both, and
 * prints one line a second on the console:
 *
 *   heartbeat n=7 t_ms=9012 wall_ms=1700000009000 gap_last_ms=11 gap_max_ms=74 lost_ms=63 mem=ok passes=2 dirty_mib=40 disk=ok adopted=1 writes=131
 *
 * Which clock sees a migration?  CLOCK_MONOTONIC (t_ms) and CLOCK_REALTIME (wall_ms) both stand still while the virtual
 * machine is stopped: the hypervisor moves its virtual clock along with it, so a guest that only compares those never
 * notices the switch.  The battery-backed clock (CMOS) follows the host's wall clock and keeps going.  The inner beat
 * therefore runs every 10 ms, looks at the CMOS seconds, and the heartbeat is printed when they change.
 *
 *   gap_last_ms  longest pause of the inner beat since the line before, plus what the guest's clocks lost meanwhile.
 *                One blackout that straddles a CMOS second may show in two lines; it is never counted twice in one.
 *   gap_max_ms   the largest gap_last_ms since boot.
 *   lost_ms      all time the guest's clocks lost since boot, that is: how long it was stopped (within a few ms).
 *   mem, disk    ok, none, or bad:COUNT; the first errors are printed as lines beginning with "corrupt".
 *   adopted      disks on which all that earlier boots wrote has been looked at; until then disk=ok says little.
 *   passes       complete re-checks of all test memory.
 *
 * Kernel command line: dirty=MIB (rewritten over and over), rate=MIB_PER_S (0 or absent = without pause), fill=MIB
 * (test memory that is only checked), writes=N (blocks a second, to each disk), beat=MS (of the inner beat, and of the work on
 * memory: a slower one costs the machine less and makes every gap at least as long).  Console input: poweroff, reboot.  The ACPI power button powers off.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/input.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

void say(const char *format, ...) {
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    if (length > (int)sizeof line - 2) length = sizeof line - 2;
    line[length] = '\n';
    if (write(1, line, length + 1) < 0) return;
}

double now_ms(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

void sleep_until(double ms) {
    struct timespec t = {.tv_sec = (time_t)(ms / 1e3), .tv_nsec = (long)((ms - 1e3 * (time_t)(ms / 1e3)) * 1e6)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) {}
}

long boot_option(const char *name, long otherwise) {
    static char line[4096];
    if (!line[0]) {
        int fd = open("/proc/cmdline", O_RDONLY);
        if (fd < 0 || read(fd, line, sizeof line - 1) < 0) return otherwise;
        close(fd);
    }
    size_t length = strlen(name);
    for (char *at = line; (at = strstr(at, name)); at += length)
        if ((at == line || at[-1] == ' ') && at[length] == '=') return strtol(at + length + 1, NULL, 10);
    return otherwise;
}

static void leave(int how, const char *why) {
    say("leaving: %s", why);
    stop_disks();
    tcdrain(1);
    sync();
    reboot(how);
}

static void *obey_console(void *unused) {
    char line[64];
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\r\n")] = 0;
        if (!strcmp(line, "poweroff")) leave(RB_POWER_OFF, line);
        else if (!strcmp(line, "reboot")) leave(RB_AUTOBOOT, line);
    }
    return unused;
}

static void *obey_power_button(void *argument) {
    int fd = (int)(intptr_t)argument;
    struct input_event event;
    while (read(fd, &event, sizeof event) == sizeof event)
        if (event.type == EV_KEY && event.code == KEY_POWER && event.value == 1) leave(RB_POWER_OFF, "power button");
    return NULL;
}

static void load_modules(void) {
    char name[64], path[96];
    FILE *order = fopen("/modules/order", "r");
    while (order && fgets(name, sizeof name, order)) {
        name[strcspn(name, "\n")] = 0;
        snprintf(path, sizeof path, "/modules/%s", name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST)) say("cannot load %s: %s", name, strerror(errno));
        close(fd);
    }
}

static void open_console(void) {
    struct termios t;
    int fd = open("/dev/console", O_RDWR);
    for (int i = 0; i < 3; i++) dup2(fd, i);
    if (tcgetattr(0, &t)) return;
    t.c_oflag &= ~OPOST; /* plain newlines in the console log */
    t.c_lflag &= ~ECHO;
    tcsetattr(0, TCSANOW, &t);
}

int main(void) {
    pthread_t thread;
    mount("proc", "/proc", "proc", 0, NULL);
    mount("dev", "/dev", "devtmpfs", 0, NULL);
    open_console();
    load_modules();
    if (start_memory()) { say("corrupt set-up: not enough memory for the test memory"); pause(); }
    for (int i = 0; i < 8; i++) {
        char path[32];
        snprintf(path, sizeof path, "/dev/input/event%d", i);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0) pthread_create(&thread, NULL, obey_power_button, (void *)(intptr_t)fd);
    }
    start_disks();
    pthread_create(&thread, NULL, obey_console, NULL);
    start_heartbeat();
    for (;;) pause();
}
