/* A bad disk and a bad clock for one process: preloaded (LD_PRELOAD), told what to do by a file that it maps.

   While `disk_full`, writes to regular files fail with ENOSPC, every second one after half of its bytes, as on a disk
   that runs full in the middle of a record; `slow_us` is slept before each write and sync; `clock_seconds` is added to
   the wall clock (not to the monotonic one). Standard output and error are spared: they are the test's own log. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct faults {
    int64_t clock_seconds;
    int32_t disk_full;
    int32_t slow_us;
};

static const struct faults none;
static const volatile struct faults *faults = &none;
static volatile unsigned refused;

__attribute__((constructor)) static void map_faults(void) {
    const char *path = getenv("AIPOW_TEST_FAULTS");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *at = mmap(NULL, sizeof(struct faults), PROT_READ, MAP_SHARED, file, 0);
    if (at != MAP_FAILED) faults = at;
    close(file);
}

static int is_disk(int file) {
    struct stat about;
    if (file <= 2 || (!faults->disk_full && !faults->slow_us)) return 0;
    int error = errno, found = fstat(file, &about) == 0 && S_ISREG(about.st_mode);
    errno = error;
    return found;
}

/* How many of `size` bytes may be written; -1 with errno set if none. */
static ssize_t allow(int file, size_t size) {
    if (!is_disk(file)) return (ssize_t)size;
    if (faults->slow_us) usleep((useconds_t)faults->slow_us);
    if (!faults->disk_full) return (ssize_t)size;
    if (++refused % 2 && size > 1) return (ssize_t)(size / 2);
    errno = ENOSPC;
    return -1;
}

#define REAL(name)                     \
    static __typeof__(&(name)) real;   \
    if (!real) real = (__typeof__(&(name)))dlsym(RTLD_NEXT, #name)

ssize_t write(int file, const void *data, size_t size) {
    REAL(write);
    ssize_t allowed = allow(file, size);
    return allowed < 0 ? -1 : real(file, data, (size_t)allowed);
}

ssize_t pwrite64(int file, const void *data, size_t size, off64_t at) {
    REAL(pwrite64);
    ssize_t allowed = allow(file, size);
    return allowed < 0 ? -1 : real(file, data, (size_t)allowed, at);
}

static int sync_file(int file, int (*real)(int)) {
    if (allow(file, 0) < 0) return -1;
    return real(file);
}

int fsync(int file) {
    REAL(fsync);
    return sync_file(file, real);
}

int fdatasync(int file) {
    REAL(fdatasync);
    return sync_file(file, real);
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    REAL(clock_gettime);
    int result = real(clock, at);
    if (!result && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) at->tv_sec += faults->clock_seconds;
    return result;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    REAL(gettimeofday);
    int result = real(at, zone);
    if (!result) at->tv_sec += faults->clock_seconds;
    return result;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
