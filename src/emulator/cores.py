"""No core dumps: a crash of these processes writes no keys to disk, whatever the node does with cores."""

# A server does not import this: `resource` would cost 36 KB in each pod. The child of its first exchange sees to both,
# before there are any keys.

from resource import RLIMIT_CORE, prlimit

# One byte: less than any core. A limit of none at all does not keep the kernel from starting a node's core handler,
# this one does. Source: core(5), "Piping core dumps to a program"; Linux, fs/coredump.c, `cprm.limit == 1`.
LIMIT_BYTES = 1


def forbid(*processes: int) -> None:
    """Let these processes, 0 for the calling one, dump no core."""
    for process in processes:
        try:
            prlimit(process, RLIMIT_CORE, (LIMIT_BYTES, LIMIT_BYTES))
        except OSError:
            continue  # it has ended, or may dump nothing already and can't be given even a byte
