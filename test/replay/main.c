/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vionet-replay: feeds captures to a virtio-net device through its guest driver and prints what the
 * driver finds. This file is the way in and the exit status: 0 all went through, 1 an expectation
 * did not hold, 2 the command line or a file was unusable and one line says why.
 */
#include "help.h"
#include "options.h"
#include "replay.h"
#include "replay_error.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum {
    EXIT_HELD = 0,
    EXIT_MISMATCH = 1,
    EXIT_UNUSABLE = 2,
};

/*
 * Standard streams that were closed become ones that cannot be written, so that no file opened
 * later takes their place and receives what is printed.
 */
static void occupy_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0) {
            (void)open("/dev/null", O_RDONLY);
        }
    }
}

static int unusable(GError *error)
{
    g_autofree char *line = display_name(error->message);

    fprintf(stderr, "vionet-replay: %s\n", line);
    g_error_free(error);
    return EXIT_UNUSABLE;
}

/* What --help and --version end with: the text may not have arrived. */
static int printed(void)
{
    GError *error = NULL;

    if (fflush(stdout) != 0) {
        complain(&error, "standard output: %s", g_strerror(errno));
        return unusable(error);
    }
    return EXIT_HELD;
}

static int run(const struct options *options)
{
    GError *error = NULL;
    uint64_t mismatches = 0;

    if (options->help) {
        help_print();
        return printed();
    }
    if (options->version) {
        printf("vionet-replay %s\n", REPLAY_VERSION);
        return printed();
    }
    if (!replay_run(options, &mismatches, &error)) {
        return unusable(error);
    }
    return mismatches ? EXIT_MISMATCH : EXIT_HELD;
}

int main(int argc, char **argv)
{
    struct options options;
    GError *error = NULL;
    int status;

    occupy_standard_streams();
    setlocale(LC_CTYPE, ""); /* not numbers: ndjson has none of a locale's */
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        fprintf(stderr, "usage: %s (--help explains)\n", USAGE);
        return EXIT_UNUSABLE;
    }
    status = options_parse(&options, &argc, &argv, &error) ? run(&options) : unusable(error);
    options_clear(&options);
    return status;
}
