/* SPDX-License-Identifier: BSD-3-Clause */
/* See process.h. */
#include "process.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "reach.h"

#define MAX_ROUNDS 5000 /* until the event loop rests */

unsigned process_count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    FUZZ_REQUIRE(dir, "no /proc");
    while (readdir(dir)) {
        n++;
    }
    closedir(dir);
    return n;
}

unsigned process_count_maps(const char *name)
{
    static char text[1 << 20];
    const int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    ssize_t n;
    unsigned found = 0;

    FUZZ_REQUIRE(fd >= 0, "no /proc");
    while ((n = read(fd, text + len, sizeof(text) - 1 - len)) > 0) {
        len += (size_t)n;
    }
    close(fd);
    text[len] = '\0';
    for (const char *at = text; (at = strstr(at, name)) != NULL; at++) {
        found++;
    }
    return found;
}

void process_settle(GMainContext *context)
{
    for (unsigned i = 0; g_main_context_iteration(context, FALSE); i++) {
        FUZZ_REQUIRE(i < MAX_ROUNDS, "the event loop does not come to rest");
    }
}

static void drop(const char *domain, GLogLevelFlags level, const char *text, gpointer data)
{
    FUZZ_REQUIRE(!(level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL)), "%s", text);
}

void process_drop_log(void)
{
    g_log_set_default_handler(drop, NULL);
}
