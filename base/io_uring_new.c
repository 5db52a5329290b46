/* Making a ring, and saying in words why the kernel refused it. */
#include "base/io_uring_own.h"
#include "base/status.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* 0 where the file is missing (kernels before 6.6), like "allowed". */
static int sysctl_disabled(void)
{
        char c = '0';
        int fd = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);
        if (fd < 0) return 0;
        ssize_t n = read(fd, &c, 1);
        close(fd);
        return n == 1 && c >= '0' && c <= '9' ? c - '0' : 0;
}

static int refused(int r, struct err *e)
{
        struct utsname u;
        const char *release = uname(&u) == 0 ? u.release : "of unknown version";
        int sysctl = sysctl_disabled();
        switch (-r) {
        case EPERM:
        case EACCES:
                if (sysctl > 0)
                        return err_set(e, ST_UNSUPPORTED,
                            "io_uring is refused by sysctl kernel.io_uring_disabled=%d", sysctl);
                return err_set(e, ST_UNSUPPORTED,
                    "io_uring is refused (%s), most likely by the container's seccomp profile",
                    strerror(-r));
        case ENOSYS:
                return err_set(e, ST_UNSUPPORTED,
                    "io_uring is missing: kernel %s is built without it, or a seccomp profile "
                    "hides it",
                    release);
        case EINVAL:
                return err_set(e, ST_UNSUPPORTED,
                    "io_uring of kernel %s lacks what is needed; 6.1 or newer has it", release);
        case ENOMEM:
                return err_set(
                    e, ST_NOMEM, "io_uring: no memory for a ring; is RLIMIT_MEMLOCK too low?");
        default:
                return err_set(e, ST_IO, "io_uring: %s", strerror(-r));
        }
}

/* MSG_RING and DEFER_TASKRUN are the youngest of what is used; the rest is older than both. */
static int probe_ops(struct io_uring *ring, struct err *e)
{
        static const struct {
                int code;
                const char *name;
        } needed[] = {
                { IORING_OP_READ, "READ" },
                { IORING_OP_WRITE, "WRITE" },
                { IORING_OP_WRITEV, "WRITEV" },
                { IORING_OP_WRITE_FIXED, "WRITE_FIXED" },
                { IORING_OP_FSYNC, "FSYNC" },
                { IORING_OP_ACCEPT, "ACCEPT" },
                { IORING_OP_CONNECT, "CONNECT" },
                { IORING_OP_RECV, "RECV" },
                { IORING_OP_SENDMSG, "SENDMSG" },
                { IORING_OP_MSG_RING, "MSG_RING" },
        };
        struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
        if (!probe)
                return err_set(e, ST_UNSUPPORTED, "io_uring: the kernel does not list operations");
        const char *lacks = NULL;
        for (size_t i = 0; i < COUNT_OF(needed) && !lacks; i++)
                if (!io_uring_opcode_supported(probe, needed[i].code)) lacks = needed[i].name;
        io_uring_free_probe(probe);
        return lacks ? err_set(e, ST_UNSUPPORTED, "io_uring lacks the operation %s", lacks) : 0;
}

/* R_DISABLED: the ring belongs to the thread that enables it, which is not the one that makes it.
 */
int uring_setup(struct uring *u, const struct io_options *o, struct err *e)
{
        unsigned entries = o && o->entries ? o->entries : URING_ENTRIES;
        entries = MIN(entries, (unsigned)URING_ENTRIES_MAX);
        struct io_uring_params params = {
                .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                         IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE |
                         IORING_SETUP_CLAMP,
                .cq_entries = entries * URING_CQ_FACTOR,
        };
        int r = io_uring_queue_init_params(entries, &u->ring, &params);
        if (r < 0) return refused(r, e);
        const unsigned features = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_CQE_SKIP |
                                  IORING_FEAT_SUBMIT_STABLE;
        if ((params.features & features) != features)
                r = refused(-EINVAL, e);
        else
                r = probe_ops(&u->ring, e);
        if (r < 0) io_uring_queue_exit(&u->ring);
        return r;
}
