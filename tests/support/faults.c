/* Faults of the machine below a process, for LD_PRELOAD: no right and no mount is needed.
 *
 * FAULTS_FULL=FILE   while FILE exists, no regular file can grow: ENOSPC, as a full disk says.
 *                    What overwrites bytes that are there goes through, as on a full disk.
 * FAULTS_ROOM=BYTES  this process may make regular files grow by so much in all; then they cannot.
 * FAULTS_CLOCK=FILE  FILE holds the seconds by which the wall clock is ahead (or -behind).
 * FAULTS_STUCK=FILE  while FILE exists, writing what holds its text into broker.db waits, as on a
 *                    disk that hangs; FILE.met holds that text as soon as somebody waits.
 * FAULTS_STUCK_IN=NAME  that database and not broker.db.
 * FAULTS_KEPT=FILE   while FILE exists, nothing takes the place of a node's certificate: EIO.
 * FAULTS_NO_LINKS=1  there are no hard links, as on many a network's disk.
 * FAULTS_SYNCED=FILE each directory whose names are put on disk is appended to FILE.
 *
 * Standard error is left alone, so that a test can read what the process says about it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define REAL(name, type) ((type)dlsym(RTLD_NEXT, name))

/* Of a file that would end there afterwards; negative: so many bytes are appended. */
static int no_room(int fd, off_t end, size_t count) {
    static long grown;
    const char *flag = getenv("FAULTS_FULL"), *room = getenv("FAULTS_ROOM");
    struct stat file;
    if (fd == 2 || (!room && (!flag || access(flag, F_OK) != 0))) return 0;
    if (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode)) return 0;
    if (end >= 0 && end <= file.st_size) return 0;
    long more = end < 0 ? (long)count : (long)(end - file.st_size);
    if (room && __sync_add_and_fetch(&grown, more) <= atol(room)) return 0;
    errno = ENOSPC;
    return 1;
}

static int may_stick(int fd) {
    const char *name = getenv("FAULTS_STUCK_IN");
    char link[64], path[512] = {0};
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return readlink(link, path, sizeof path - 1) > 0 && strstr(path, name ? name : "/broker.db") != NULL;
}

static void wait_while_stuck(int fd, const void *bytes, size_t count) {
    const char *flag = getenv("FAULTS_STUCK");
    int kept = errno;
    while (flag) {
        char text[64] = {0}, met[512];
        int file = open(flag, O_RDONLY | O_CLOEXEC);
        if (file < 0) break;
        ssize_t length = read(file, text, sizeof text - 1);
        close(file);
        if (length <= 0 || !memmem(bytes, count, text, (size_t)length) || !may_stick(fd)) break;
        snprintf(met, sizeof met, "%s.met", flag);
        file = open(met, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        REAL("write", ssize_t (*)(int, const void *, size_t))(file, text, (size_t)length);
        close(file);
        usleep(2000);
    }
    errno = kept;
}

ssize_t write(int fd, const void *bytes, size_t count) {
    int kept = errno;
    off_t at = lseek(fd, 0, SEEK_CUR);
    errno = kept;
    if (at >= 0 && (fcntl(fd, F_GETFL) & O_APPEND)) at = -1;
    if (no_room(fd, at < 0 ? -1 : at + (off_t)count, count)) return -1;
    return REAL("write", ssize_t (*)(int, const void *, size_t))(fd, bytes, count);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    if (no_room(fd, at + (off_t)count, count)) return -1;
    wait_while_stuck(fd, bytes, count);
    return REAL("pwrite", ssize_t (*)(int, const void *, size_t, off_t))(fd, bytes, count, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    if (no_room(fd, at + (off_t)count, count)) return -1;
    wait_while_stuck(fd, bytes, count);
    return REAL("pwrite64", ssize_t (*)(int, const void *, size_t, off64_t))(fd, bytes, count, at);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = REAL("clock_gettime", int (*)(clockid_t, struct timespec *));
    int outcome = real(clock, now);
    const char *path = getenv("FAULTS_CLOCK");
    if (outcome == 0 && clock == CLOCK_REALTIME && path) {
        int kept = errno;
        char text[32] = {0};
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0) {
            if (read(fd, text, sizeof text - 1) > 0) now->tv_sec += atol(text);
            close(fd);
        }
        errno = kept;
    }
    return outcome;
}

int linkat(int from, const char *path, int to, const char *name, int flags) {
    if (getenv("FAULTS_NO_LINKS")) {
        errno = EPERM;
        return -1;
    }
    return REAL("linkat", int (*)(int, const char *, int, const char *, int))(from, path, to, name, flags);
}

int link(const char *path, const char *name) {
    return linkat(AT_FDCWD, path, AT_FDCWD, name, 0);
}

int rename(const char *from, const char *to) {
    const char *flag = getenv("FAULTS_KEPT");
    if (flag && access(flag, F_OK) == 0 && strstr(to, "/cluster/node.pem")) {
        errno = EIO;
        return -1;
    }
    return REAL("rename", int (*)(const char *, const char *))(from, to);
}

int fsync(int fd) {
    const char *list = getenv("FAULTS_SYNCED");
    struct stat file;
    if (list && fstat(fd, &file) == 0 && S_ISDIR(file.st_mode)) {
        char link[64], path[512] = {0};
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, path, sizeof path - 2);
        int to = open(list, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (length > 0 && to >= 0) {
            path[length] = '\n';
            REAL("write", ssize_t (*)(int, const void *, size_t))(to, path, (size_t)length + 1);
        }
        close(to);
    }
    return REAL("fsync", int (*)(int))(fd);
}
