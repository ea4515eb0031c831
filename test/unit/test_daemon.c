/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parts of the daemon (device/daemon/) that are better looked at from within: the log's lines and
 * limits; the sandbox, entered by a child that then tries what somebody would who had taken it over.
 * The program as a whole is test_daemon.py's.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib.h>

#include "log.h"
#include "sandbox.h"

/* ---- The log ---- */

/* 2026-11-21 13:00:00.123456 */
#define A_TIME (G_GINT64_CONSTANT(1795266000) * G_USEC_PER_SEC + 123456)

static void assert_line(enum log_format format, const struct log_entry *entry, const char *expected)
{
    char *line = log_line(format, entry);

    g_assert_cmpstr(line, ==, expected);
    g_free(line);
}

static void test_lines(void)
{
    const struct log_entry plain = {A_TIME, G_LOG_LEVEL_INFO, NULL, "vfio-user: here", NULL};
    const struct log_entry full = {A_TIME, G_LOG_LEVEL_WARNING, "a-kind", "x", "{\"y\":1}"};

    assert_line(LOG_TEXT, &plain, "2026-11-21T13:00:00.123Z info vfio-user: here\n");
    assert_line(LOG_JSON, &plain,
                "{\"time\":\"2026-11-21T13:00:00.123Z\",\"level\":\"info\","
                "\"message\":\"vfio-user: here\"}\n");
    assert_line(LOG_TEXT, &full, "2026-11-21T13:00:00.123Z warning x: {\"y\":1}\n");
    assert_line(LOG_JSON, &full,
                "{\"time\":\"2026-11-21T13:00:00.123Z\",\"level\":\"warning\",\"kind\":\"a-kind\","
                "\"message\":\"x\",\"document\":{\"y\":1}}\n");
}

static void test_no_control_characters(void)
{
    const char *const text = "a\nb\x1b[2J\x7f\xff\"\\ \xc3\xa4 \xc2\x9b \xe2\x80\xae";
    const struct log_entry entry = {A_TIME, G_LOG_LEVEL_CRITICAL, NULL, text, NULL};

    assert_line(LOG_TEXT, &entry,
                "2026-11-21T13:00:00.123Z error "
                "a\\x0ab\\x1b[2J\\x7f\\xff\"\\ \xc3\xa4 \\xc2\\x9b \\xe2\\x80\\xae\n");
    assert_line(LOG_JSON, &entry,
                "{\"time\":\"2026-11-21T13:00:00.123Z\",\"level\":\"error\",\"message\":\""
                "a\\\\x0ab\\\\x1b[2J\\\\x7f\\\\xff\\\"\\\\ \xc3\xa4 \\\\xc2\\\\x9b "
                "\\\\xe2\\\\x80\\\\xae\"}\n");
}

static void test_levels(void)
{
    GLogLevelFlags level = 0;

    g_assert_true(log_find_level("error", &level));
    g_assert_cmpuint(level, ==, G_LOG_LEVEL_CRITICAL); /* and what is worse */
    g_assert_true(log_find_level("debug", &level));
    g_assert_cmpuint(level, ==, G_LOG_LEVEL_DEBUG);
    g_assert_false(log_find_level("loud", &level));
}

static void test_limit(void)
{
    struct log_limit limit = {0};
    gint64 now = 1000;
    unsigned left_out = 7;

    for (unsigned i = 0; i < LOG_BURST; i++) {
        g_assert_true(log_limit_pass(&limit, "a", now, &left_out));
        g_assert_cmpuint(left_out, ==, 0);
    }
    for (unsigned i = 0; i < 1000; i++) {
        g_assert_false(log_limit_pass(&limit, "a", now, &left_out));
    }
    g_assert_true(log_limit_pass(&limit, "b", now, &left_out));
    g_assert_false(log_limit_pass(&limit, "a", now + LOG_REFILL - 1, &left_out));
    g_assert_true(log_limit_pass(&limit, "a", now + LOG_REFILL, &left_out));
    g_assert_cmpuint(left_out, ==, 1001);
    g_assert_false(log_limit_pass(&limit, "a", now + LOG_REFILL, &left_out));
    now += 1000 * LOG_REFILL;
    for (unsigned i = 0; i < LOG_BURST; i++) {
        g_assert_true(log_limit_pass(&limit, "a", now, &left_out));
    }
    g_assert_false(log_limit_pass(&limit, "a", now, &left_out));
}

/* ---- The sandbox ---- */

#ifdef WITH_SECCOMP

/* What a child tries, with null or an open descriptor; 0 or an errno value. */
typedef int attempt(void);

static int result_of(long result)
{
    return result == -1 ? errno : 0;
}

static int try_exec(void)
{
    char *const argv[] = {(char *)"true", NULL};

    return result_of(execve("/bin/true", argv, NULL));
}

static int try_fork(void)
{
    return result_of(fork());
}

static int try_ptrace(void)
{
    return result_of(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int try_kill(void)
{
    return result_of(kill(getppid(), 0));
}

static int try_write_file(void)
{
    return result_of(open("/dev/null", O_WRONLY));
}

static int try_change_file(void)
{
    return result_of(open("/dev/null", O_RDWR | O_CLOEXEC));
}

static int try_make_file(void)
{
    return result_of(open("/dev/null", O_CREAT, 0600));
}

static int try_cut_file(void)
{
    return result_of(syscall(SYS_openat, AT_FDCWD, "/dev/null", O_TRUNC));
}

static int try_rename(void)
{
    return result_of(rename("/nowhere/a", "/nowhere/b"));
}

static int try_read_file(void)
{
    return result_of(open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC)) == EPERM ? EPERM : 0;
}

static int try_packet_socket(void)
{
    return result_of(socket(AF_PACKET, SOCK_RAW, 0));
}

static int try_raw_socket(void)
{
    return result_of(socket(AF_INET, SOCK_RAW, 1)) ? EPERM : 0;
}

static int try_netlink_socket(void)
{
    return result_of(socket(AF_NETLINK, SOCK_RAW, 0));
}

static int try_stream_socket(void)
{
    return result_of(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

static int try_datagram_socket(void)
{
    return result_of(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

static int try_executable_memory(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
               ? errno
               : 0;
}

static int try_make_executable(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return result_of(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}

/* An interface's owner, which tap sets only before. */
static int try_ioctl(void)
{
    return result_of(syscall(SYS_ioctl, 0, 0x400454ca, NULL));
}

static int try_tap_offload(void)
{
    return result_of(syscall(SYS_ioctl, 0, 0x400454d0, NULL)) == EPERM ? EPERM : 0;
}

static int try_what_it_does(void)
{
    const int fd = eventfd(0, EFD_CLOEXEC);
    uint64_t n = 1;
    struct stat status;
    char *memory = g_malloc0(64 << 20);

    memory = g_realloc(memory, 65 << 20);
    g_free(memory);
    g_usleep(1);
    return fd < 0 || write(fd, &n, sizeof(n)) < 0 || read(fd, &n, sizeof(n)) < 0 ||
                   fcntl(fd, F_SETFL, O_NONBLOCK) < 0 || fstat(fd, &status) < 0 || close(fd) < 0
               ? errno
               : 0;
}

/* What vfio-user/ does with descriptors of a client. */
static int try_client_descriptors(void)
{
    const int fd = eventfd(1, EFD_CLOEXEC);
    char target[64];
    struct statfs system;
    uint64_t n;
    struct iovec iov = {&n, sizeof(n)};

    return fd < 0 || readlink("/proc/self/fd/0", target, sizeof(target)) < 0 ||
                   fstatfs(fd, &system) < 0 || preadv2(fd, &iov, 1, -1, RWF_NOWAIT) != sizeof(n)
               ? errno
               : 0;
}

#define KILLED (-1)

static int result_in_sandbox(const char *backend, attempt *try)
{
    const struct rlimit no_core = {0, 0};
    const pid_t child = fork();
    int status = 0;

    if (child == 0) {
        setrlimit(RLIMIT_CORE, &no_core);
        _exit(sandbox_enter(backend, false, NULL) ? try() : 255);
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    if (WIFSIGNALED(status)) {
        g_assert_cmpint(WTERMSIG(status), ==, SIGSYS);
        return KILLED;
    }
    return WEXITSTATUS(status);
}

static const struct sandbox_case {
    const char *name;
    attempt *try;
    const char *backend;
    int expected;
} sandbox_cases[] = {
    {"what-it-does", try_what_it_does, "null", 0},
    {"client-descriptors", try_client_descriptors, "null", 0},
    {"exec", try_exec, "null", KILLED},
    {"exec-user", try_exec, "user", KILLED},
    {"fork", try_fork, "null", KILLED},
    {"ptrace", try_ptrace, "null", KILLED},
    {"kill", try_kill, "null", KILLED},
    {"write-file", try_write_file, "null", KILLED},
    {"write-file-user", try_write_file, "user", KILLED},
    {"change-file-user", try_change_file, "user", KILLED},
    {"make-file-user", try_make_file, "user", KILLED},
    {"cut-file-user", try_cut_file, "user", KILLED},
    {"rename", try_rename, "user", KILLED},
    {"read-file", try_read_file, "null", EPERM},
    {"read-file-stream", try_read_file, "stream", EPERM},
    {"read-file-user", try_read_file, "user", 0},
    {"packet-socket", try_packet_socket, "null", EPERM},
    {"packet-socket-user", try_packet_socket, "user", EPERM},
    {"raw-socket-user", try_raw_socket, "user", EPERM},
    {"netlink-socket-user", try_netlink_socket, "user", EPERM},
    {"stream-socket", try_stream_socket, "null", EPERM},
    {"stream-socket-dgram", try_stream_socket, "dgram", EPERM},
    {"stream-socket-stream", try_stream_socket, "stream", 0},
    {"stream-socket-user", try_stream_socket, "user", 0},
    {"datagram-socket-stream", try_datagram_socket, "stream", EPERM},
    {"datagram-socket-user", try_datagram_socket, "user", 0},
    {"executable-memory", try_executable_memory, "user", EPERM},
    {"make-executable", try_make_executable, "user", EPERM},
    {"ioctl", try_ioctl, "user", EPERM},
    {"ioctl-tap", try_ioctl, "tap", EPERM},
    {"tap-offload", try_tap_offload, "tap", 0},
    {"tap-offload-user", try_tap_offload, "user", EPERM},
};

static void test_sandbox(gconstpointer data)
{
    const struct sandbox_case *one = data;

    g_assert_cmpint(result_in_sandbox(one->backend, one->try), ==, one->expected);
}

static void add_sandbox_tests(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(sandbox_cases); i++) {
        char *path = g_strdup_printf("/daemon/sandbox/%s", sandbox_cases[i].name);

        g_test_add_data_func(path, &sandbox_cases[i], test_sandbox);
        g_free(path);
    }
}

static void test_no_rules(void)
{
    GError *error = NULL;

    g_assert_false(sandbox_enter("carrier", false, &error));
    g_assert_cmpstr(error->message, ==,
                    "sandbox: no rules for the backend carrier (--no-sandbox does without it)");
    g_error_free(error);
}

#else

static void add_sandbox_tests(void)
{
}

static void test_no_rules(void)
{
    GError *error = NULL;

    g_assert_false(sandbox_enter("null", false, &error));
    g_assert_nonnull(strstr(error->message, "built without libseccomp"));
    g_error_free(error);
}

#endif

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/daemon/log/lines", test_lines);
    g_test_add_func("/daemon/log/no-control-characters", test_no_control_characters);
    g_test_add_func("/daemon/log/levels", test_levels);
    g_test_add_func("/daemon/log/limit", test_limit);
    g_test_add_func("/daemon/sandbox/no-rules", test_no_rules);
    add_sandbox_tests();
    return g_test_run();
}
