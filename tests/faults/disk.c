/* A disk that loses its power, or is slow: loaded into a process before libc (LD_PRELOAD).
 *
 * After each fsync or fdatasync of a file in the working directory its content is copied to TOQUE_DISK, and after one of that
 * directory the names in it are written to TOQUE_DISK/.names: that is what a disk still has when everything is dropped that was
 * not synced, also names that were given and names that were taken away. TOQUE_DISK_MS: how long each of these calls takes first.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void copy(int from, const char *to) {
    char piece[65536];
    off_t offset = 0;
    ssize_t count;
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (out < 0) return;
    while ((count = pread(from, piece, sizeof piece, offset)) > 0) {
        if (write(out, piece, count) != count) break;
        offset += count;
    }
    close(out);
}

static void write_names(const char *directory, const char *to) {
    DIR *listed = opendir(directory);
    FILE *out = fopen(to, "w");
    struct dirent *entry;
    while (listed != NULL && out != NULL && (entry = readdir(listed)) != NULL) fprintf(out, "%s\n", entry->d_name);
    if (out != NULL) fclose(out);
    if (listed != NULL) closedir(listed);
}

static void keep(int file) {
    const char *disk = getenv("TOQUE_DISK");
    char link[64], path[4096], here[4096], fresh[4200], kept[4200];
    if (disk == NULL || getcwd(here, sizeof here) == NULL) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return;
    path[length] = 0;
    size_t depth = strlen(here);
    int is_directory = strcmp(path, here) == 0;
    if (!is_directory && (strncmp(path, here, depth) != 0 || path[depth] != '/')) return;
    snprintf(kept, sizeof kept, "%s%s", disk, is_directory ? "/.names" : path + depth);
    snprintf(fresh, sizeof fresh, "%s.part", kept);
    if (is_directory) {
        write_names(path, fresh);
    } else {
        int readable = open(path, O_RDONLY); /* the file may be open for writing only */
        if (readable < 0) return;
        copy(readable, fresh);
        close(readable);
    }
    rename(fresh, kept);
}

static int after(int file, const char *call) {
    const char *delay = getenv("TOQUE_DISK_MS");
    if (delay != NULL) {
        long ms = atol(delay);
        struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
        nanosleep(&pause, NULL);
    }
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, call);
    int failed = real(file);
    if (!failed) keep(file);
    return failed;
}

int fsync(int file) { return after(file, "fsync"); }

int fdatasync(int file) { return after(file, "fdatasync"); }
