/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sandbox; see sandbox.h. Called by main.c when all is set up.
 *
 * Three answers to a system call: those in allowed[] are made, as far as their arguments say; those
 * in deadly[], which only somebody who has taken over the process would try, end it; all others fail
 * with EPERM, which libraries take that look for something better and can do without.
 *
 * A filter sees numbers, not what pointers lead to: it cannot tell one path from another.
 */
#include "sandbox.h"

#include <errno.h>
#include <string.h>

#include <vionet/device.h>

static bool refuse(const char *what, int error_number, GError **error)
{
    g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG,
                "sandbox: %s: %s (--no-sandbox does without it)", what, g_strerror(error_number));
    return false;
}

#ifdef WITH_SECCOMP

#include <fcntl.h>
#include <linux/if_tun.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- Who needs what ---- */

enum {
    ALL = 1 << 0,
    CONNECTS = 1 << 1,  /* makes connections */
    ACCEPTS = 1 << 2,   /* and takes them, on sockets of its own */
    DATAGRAMS = 1 << 3, /* many of them at a time */
    USER = 1 << 4,      /* libslirp */
    TAP = 1 << 5,
    GOES = 1 << 6, /* to a VMM that waits for it */
};

static const struct {
    const char *backend;
    unsigned groups;
} backends[] = {
    {"null", ALL},
    {"loopback", ALL},
    {"pcap", ALL},
    {"user", ALL | CONNECTS | ACCEPTS | USER},
    {"stream", ALL | CONNECTS},
    {"dgram", ALL | DATAGRAMS},
    {"tap", ALL | TAP},
};

static unsigned find_groups(const char *backend)
{
    for (size_t i = 0; i < G_N_ELEMENTS(backends); i++) {
        if (strcmp(backends[i].backend, backend) == 0) {
            return backends[i].groups;
        }
    }
    return 0;
}

/* ---- The rules ---- */

struct rule {
    unsigned groups; /* for any of these */
    int call;
    unsigned n; /* conditions, all of which must hold */
    struct scmp_arg_cmp args[2];
};

#define CALL(name)     \
    SCMP_SYS(name), 0, \
    {                  \
        {              \
            0          \
        }              \
    }
#define CALL1(name, a) \
    SCMP_SYS(name), 1, \
    {                  \
        a              \
    }
#define CALL2(name, a, b) \
    SCMP_SYS(name), 2,    \
    {                     \
        a, b              \
    }
#define IS(arg, value)           SCMP_CMP64(arg, SCMP_CMP_EQ, value, 0)
#define MASKED(arg, mask, value) SCMP_CMP64(arg, SCMP_CMP_MASKED_EQ, mask, value)

#define SOCKET_TYPE          0xf /* without SOCK_CLOEXEC and SOCK_NONBLOCK */
#define SOCKET(domain, type) CALL2(socket, IS(0, domain), MASKED(1, SOCKET_TYPE, type))
#define WRITES               (O_ACCMODE | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY))

/* clang-format off */
static const struct rule allowed[] = {
    /* the event loop: GLib's and ours (services.c, irqs.c), and that of its signal thread */
    {ALL, CALL(poll)},
    {ALL, CALL(ppoll)},
    {ALL, CALL(read)},
    {ALL, CALL(write)},
    {ALL, CALL(readv)},
    {ALL, CALL(writev)},
    {ALL, CALL(close)},
    {ALL, CALL(eventfd2)},
    {ALL, CALL(timerfd_settime)},
    {ALL, CALL(futex)},
    {ALL, CALL(sched_yield)},
    {ALL, CALL(clock_gettime)},
    {ALL, CALL(clock_nanosleep)},
    {ALL, CALL(nanosleep)},
    {ALL, CALL(gettimeofday)},
    {ALL, CALL(time)},
    {ALL, CALL(restart_syscall)},
    {ALL, CALL(rt_sigreturn)},
    {ALL, CALL(rt_sigaction)}, /* sharing.c's SIGBUS, with the first memory of the first client */
    {ALL, CALL(rt_sigprocmask)},
    {ALL, CALL(sigaltstack)},
    {ALL, CALL(rseq)}, /* that thread may still be beginning */
    {ALL, CALL(set_robust_list)},

    /* memory: malloc's, and the guest's; none of it is ever executable */
    {ALL, CALL(brk)},
    {ALL, CALL1(mmap, MASKED(2, PROT_EXEC, 0))},
    {ALL, CALL1(mprotect, MASKED(2, PROT_EXEC, 0))},
    {ALL, CALL(munmap)},
    {ALL, CALL(mremap)},
    {ALL, CALL(madvise)},
    {ALL, CALL(getrandom)},
    {ALL, CALL(sched_getaffinity)}, /* how many arenas */

    /* VMMs and status clients: sockets that connect to ours, descriptors that come with them */
    {ALL, CALL(accept4)},
    {ALL, CALL(recvmsg)},
    {ALL, CALL(sendmsg)},
    {ALL, CALL(recvfrom)},
    {ALL, CALL(sendto)},
    {ALL, CALL(shutdown)},
    {ALL, CALL1(socketpair, IS(0, AF_UNIX))}, /* server.c: a twin socket */
    {ALL, CALL1(fcntl, IS(1, F_GETFD))},
    {ALL, CALL1(fcntl, IS(1, F_SETFD))},
    {ALL, CALL1(fcntl, IS(1, F_GETFL))},
    {ALL, CALL1(fcntl, IS(1, F_SETFL))},
    {ALL, CALL(fstat)},
    {ALL, CALL(newfstatat)}, /* fstat(), for newer C libraries */
    {ALL, CALL(fstatfs)},    /* sharing.c: how large are its pages? */
    {ALL, CALL(readlink)},   /* eventfds.c: is this one? */
    {ALL, CALL(preadv2)},    /* and a look at it that does not wait */
    {ALL, CALL(memfd_create)}, /* inflight.c, and ftruncate() */

    /* files that are open: traces, pcap; the place to go on from, and to cut off half a block */
    {ALL, CALL(lseek)},
    {ALL, CALL(ftruncate)},

    /* the end: sockets' paths are removed; abort() */
    {ALL, CALL(unlink)},
    {ALL, CALL1(unlinkat, IS(2, 0))},
    {ALL, CALL(exit)},
    {ALL, CALL(exit_group)},
    {ALL, CALL(getpid)},
    {ALL, CALL(gettid)},
    {ALL, CALL1(tgkill, IS(2, SIGABRT))},

    /* backends with connections of their own: stream again after a while, user for the guest; and
       the way to a VMM that waits (--client) */
    {CONNECTS | GOES, SOCKET(AF_UNIX, SOCK_STREAM)},
    {CONNECTS, SOCKET(AF_INET, SOCK_STREAM)},
    {CONNECTS, SOCKET(AF_INET6, SOCK_STREAM)},
    {CONNECTS | GOES, CALL(connect)},
    {CONNECTS | ACCEPTS, CALL(setsockopt)},
    {CONNECTS | ACCEPTS, CALL(getsockopt)},
    {ACCEPTS, CALL(bind)},
    {ACCEPTS, CALL(listen)},
    {ACCEPTS, CALL(accept)},
    {ACCEPTS, CALL(getsockname)},
    {ACCEPTS, CALL(getpeername)},

    /* user: the guest's datagrams and pings; resolv.conf, which it reads again now and then, TFTP */
    {USER, SOCKET(AF_INET, SOCK_DGRAM)},
    {USER, SOCKET(AF_INET6, SOCK_DGRAM)},
    {USER, CALL1(ioctl, IS(1, FIONREAD))},
    {USER, CALL1(ioctl, IS(1, FIONBIO))},
    {USER, CALL1(openat, MASKED(2, WRITES, O_RDONLY))},
    {USER, CALL(stat)},

    {DATAGRAMS, CALL(recvmmsg)},
    {DATAGRAMS, CALL(sendmmsg)},

    /* tap: what the guest takes now; the interface itself cannot be changed */
    {TAP, CALL1(ioctl, IS(1, TUNSETOFFLOAD))},
};

/* With conditions where other uses are harmless. */
static const struct rule deadly[] = {
    /* other programs, other processes */
    {ALL, CALL(execve)},
    {ALL, CALL(execveat)},
    {ALL, CALL(fork)},
    {ALL, CALL(vfork)},
    {ALL, CALL(clone)},
    {ALL, CALL(clone3)},
    {ALL, CALL(ptrace)},
    {ALL, CALL(process_vm_readv)},
    {ALL, CALL(process_vm_writev)},
    {ALL, CALL(pidfd_getfd)},
    {ALL, CALL(kill)},
    {ALL, CALL(tkill)},
    /* changing files */
    {ALL, CALL1(open, MASKED(1, O_WRONLY, O_WRONLY))},
    {ALL, CALL1(open, MASKED(1, O_RDWR, O_RDWR))},
    {ALL, CALL1(open, MASKED(1, O_CREAT, O_CREAT))},
    {ALL, CALL1(open, MASKED(1, O_TRUNC, O_TRUNC))},
    {ALL, CALL1(openat, MASKED(2, O_WRONLY, O_WRONLY))},
    {ALL, CALL1(openat, MASKED(2, O_RDWR, O_RDWR))},
    {ALL, CALL1(openat, MASKED(2, O_CREAT, O_CREAT))},
    {ALL, CALL1(openat, MASKED(2, O_TRUNC, O_TRUNC))},
    {ALL, CALL(creat)},
    {ALL, CALL(truncate)},
    {ALL, CALL(rename)},
    {ALL, CALL(renameat)},
    {ALL, CALL(renameat2)},
    {ALL, CALL(link)},
    {ALL, CALL(linkat)},
    {ALL, CALL(symlink)},
    {ALL, CALL(symlinkat)},
    {ALL, CALL(mkdir)},
    {ALL, CALL(mkdirat)},
    {ALL, CALL(mknod)},
    {ALL, CALL(mknodat)},
    {ALL, CALL(chmod)},
    {ALL, CALL(fchmod)},
    {ALL, CALL(fchmodat)},
    {ALL, CALL(chown)},
    {ALL, CALL(fchown)},
    {ALL, CALL(lchown)},
    {ALL, CALL(fchownat)},
    {ALL, CALL(open_by_handle_at)},
    /* who and where we are */
    {ALL, CALL(setuid)},
    {ALL, CALL(setgid)},
    {ALL, CALL(setresuid)},
    {ALL, CALL(setresgid)},
    {ALL, CALL(setns)},
    {ALL, CALL(unshare)},
    {ALL, CALL(chroot)},
    {ALL, CALL(pivot_root)},
    {ALL, CALL(mount)},
    {ALL, CALL(umount2)},
    /* large parts of the kernel */
    {ALL, CALL(bpf)},
    {ALL, CALL(io_uring_setup)},
    {ALL, CALL(userfaultfd)},
    {ALL, CALL(perf_event_open)},
    {ALL, CALL(keyctl)},
    {ALL, CALL(add_key)},
    {ALL, CALL(request_key)},
    {ALL, CALL(init_module)},
    {ALL, CALL(finit_module)},
    {ALL, CALL(kexec_load)},
    {ALL, CALL(kexec_file_load)},
};
/* clang-format on */

static int add_rules(scmp_filter_ctx filter, uint32_t action, const struct rule *rules, size_t n,
                     unsigned groups)
{
    for (size_t i = 0; i < n; i++) {
        const struct rule *rule = &rules[i];
        const int result =
            rule->groups & groups
                ? seccomp_rule_add_array(filter, action, rule->call, rule->n, rule->args)
                : 0;

        /* Some calls are not there on every machine. */
        if (result < 0 && result != -EDOM) {
            return result;
        }
    }
    return 0;
}

static int load_filter(scmp_filter_ctx filter, unsigned groups)
{
    int result = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);

    if (result == 0) {
        result = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    }
    if (result == 0) {
        result = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    }
    if (result == 0) {
        result = add_rules(filter, SCMP_ACT_KILL_PROCESS, deadly, G_N_ELEMENTS(deadly), groups);
    }
    if (result == 0) {
        result = add_rules(filter, SCMP_ACT_ALLOW, allowed, G_N_ELEMENTS(allowed), groups);
    }
    return result == 0 ? seccomp_load(filter) : result;
}

bool sandbox_enter(const char *backend, bool client, GError **error)
{
    const unsigned groups = find_groups(backend);
    const unsigned all = groups | (client ? GOES : 0);
    scmp_filter_ctx filter;
    int result;

    if (!groups) {
        g_set_error(error, VIONET_ERROR, VIONET_ERROR_CONFIG,
                    "sandbox: no rules for the backend %s (--no-sandbox does without it)", backend);
        return false;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return refuse("no new privileges", errno, error);
    }
    filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!filter) {
        return refuse("system call filter", ENOMEM, error);
    }
    result = load_filter(filter, all);
    seccomp_release(filter);
    return result == 0 || refuse("system call filter", -result, error);
}

#else

bool sandbox_enter(const char *backend, bool client, GError **error)
{
    (void)backend;
    (void)client;
    return refuse("built without libseccomp", ENOSYS, error);
}

#endif
