/* Loaded into a process (LD_PRELOAD): kills it in the middle of a write to a database file, of which only the first
   4096 bytes have reached the file. Only blocks count, which are longer; a system's power loss tears like this, and so
   does a SIGKILL, which Linux looks for between two pages of a write.

   TORN_PATH: how the file's path ends; TORN_AT: the number of the write, from 1. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PAGE = 4096 };

typedef ssize_t (*write_at)(int, const void *, size_t, off_t);
static int written;

static int is_database(int descriptor) {
    char link[64], path[PATH_MAX];
    const char *ending = getenv("TORN_PATH");
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (ending == NULL || length < (ssize_t)strlen(ending)) return 0;
    path[length] = 0;
    return strcmp(path + length - strlen(ending), ending) == 0;
}

static ssize_t torn(int descriptor, const void *bytes, size_t size, off_t offset) {
    write_at real = (write_at)dlsym(RTLD_NEXT, "pwrite64");
    if (size > PAGE && is_database(descriptor) && __sync_add_and_fetch(&written, 1) == atoi(getenv("TORN_AT"))) {
        real(descriptor, bytes, PAGE, offset);
        kill(getpid(), SIGKILL);
        pause();
    }
    return real(descriptor, bytes, size, offset);
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t size, off_t offset) {
    return torn(descriptor, bytes, size, offset);
}

ssize_t pwrite(int descriptor, const void *bytes, size_t size, off_t offset) {
    return torn(descriptor, bytes, size, offset);
}
