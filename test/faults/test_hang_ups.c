/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A VMM that is killed: after each message of a session over vfio-user and vhost-user, and in the middle of each. All
 * that its server sees of that is the end of the socket. Then the next VMM's guest boots and has its frames.
 */
#include <setjmp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vionet/spec.h>

#include "driver/control.h"
#include "scene_vhost_user.h"
#include "unit/vfio_client.h"

#define MAX_MESSAGES 2000

enum moment { BEFORE_IT, IN_THE_MIDDLE };

static unsigned n_injected;
static unsigned n_survived;

/* ---- the client's end ---- */

static struct {
    int fd;
    unsigned at;   /* number of the message, 0: none */
    unsigned seen; /* messages */
    enum moment moment;
    jmp_buf out;
} hang_up = {.fd = -1};

/* The linker puts this in place of the C library's (--wrap). */
ssize_t __real_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags);

ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    if (fd == hang_up.fd && ++hang_up.seen == hang_up.at) {
        if (hang_up.moment == IN_THE_MIDDLE) {
            (void)!send(fd, msg->msg_iov->iov_base, msg->msg_iov->iov_len / 2, MSG_NOSIGNAL);
        }
        longjmp(hang_up.out, 1);
    }
    return __real_sendmsg(fd, msg, flags);
}

/* ---- sessions ---- */

static struct host host;
static struct guest guest;

static int begin_vfio_user(void)
{
    host_quiet();
    host_init(&host, "queues=2,rss=on", "loopback");
    client_connect(&guest.client, &host);
    return guest.client.fd;
}

static void run_vfio_user(void)
{
    const int fd = new_memfd(1 << 20);

    g_assert_cmpuint(client_version(&guest.client, "{\"capabilities\":{\"max_msg_fds\":16}}"), ==,
                     0);
    guest_begin(&guest);
    guest_connect(&guest, false, 0);
    guest_boot(&guest);
    guest_echo(&guest, 1);
    g_assert_cmpint(net_control_pairs(guest.net, 2), ==, VIRTIO_NET_OK);
    g_assert_cmpuint(client_map(&guest.client, UINT64_C(1) << 40, 1 << 20, 3, fd, 0), ==, 0);
    g_assert_cmpuint(client_unmap(&guest.client, UINT64_C(1) << 40, 1 << 20), ==, 0);
    g_assert_cmpuint(client_call(&guest.client, DEVICE_RESET, NULL, 0), ==, 0);
    client_close(&guest.client);
}

static void hang_up_vfio_user(void)
{
    client_close(&guest.client);
}

static void end_vfio_user(void)
{
    host_works(&host);
    host_end(&host);
}

struct session {
    int (*begin)(void);
    void (*run)(void);
    void (*hang_up)(void);
    void (*end)(void);
};

static const struct session vfio_user = {begin_vfio_user, run_vfio_user, hang_up_vfio_user,
                                         end_vfio_user};
static const struct session vhost_user = {scene_vhost_user_begin, scene_vhost_user_run,
                                          scene_vhost_user_hang_up, scene_vhost_user_end};

/* In a process of its own, as what the client had is left as it was. Its exit status: 0 if it hung up. */
static void run_child(const struct session *session, unsigned at, enum moment moment)
{
    hang_up.fd = session->begin();
    hang_up.at = at;
    hang_up.moment = moment;
    if (setjmp(hang_up.out) == 0) {
        session->run();
        hang_up.fd = -1;
        session->end();
        _exit(2);
    }
    hang_up.fd = -1;
    session->hang_up();
    session->end();
    _exit(0);
}

/* Whether the session was so long. */
static bool run_once(const struct session *session, unsigned at, enum moment moment)
{
    const pid_t child = fork();
    int status;

    g_assert_cmpint(child, >=, 0);
    if (child == 0) {
        run_child(session, at, moment);
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 2) {
        return false;
    }
    n_injected++;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        n_survived++;
    } else {
        g_test_message("message %u, moment %u: status %#x", at, (unsigned)moment, (unsigned)status);
        g_test_fail();
    }
    return true;
}

static void test_session(gconstpointer data)
{
    unsigned at = 1;

    while (run_once(data, at, BEFORE_IT) && run_once(data, at, IN_THE_MIDDLE)) {
        g_assert_cmpuint(at++, <, MAX_MESSAGES);
    }
    g_assert_cmpuint(at, >, 20);
}

int main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/faults/hang-ups/vfio-user", &vfio_user, test_session);
    g_test_add_data_func("/faults/hang-ups/vhost-user", &vhost_user, test_session);
    status = g_test_run();
    g_print("# faults injected: %u, survived: %u\n", n_injected, n_survived);
    return status;
}
