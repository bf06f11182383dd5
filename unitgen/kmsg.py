"""Reports problems where a generator can: in the kernel's log, else on standard error."""

import os
import stat

_ERROR, _WARNING = 27, 28  # facility daemon (3 << 3), levels err and warning
_LONGEST = 900  # a record is at most 1024 bytes with what the kernel adds (printk.c)


def report(lines: list[tuple[str, bool]]) -> None:
    """Log lines, each with whether it is an error; one record a line.

    systemd gives system generators /dev/null as standard error, so what comes from its run goes to the
    kernel's log, which journald reads. SYSTEMD_EXEC_PID (248) tells that run from one by hand: it is that of
    the shell script which started Python. Where nobody can be told, the exit status has to do.
    """
    started = os.environ.get("SYSTEMD_EXEC_PID", "") in (str(os.getpid()), str(os.getppid()))
    fd = _open_kmsg() if started else -1
    for text, is_error in lines:
        if fd < 0:
            # Not by sys.stderr: what that cannot write it tries again at exit, and then the status is 120.
            _write(2, f"unitgen: {text}\n".encode("utf-8", "replace"))
            continue
        level = _ERROR if is_error else _WARNING
        record = f"<{level}>unitgen[{os.getpid()}]: {text}".encode("utf-8", "replace")
        # Without the end of a line the kernel holds it back until the next one comes (printk_ringbuffer.c).
        _write(fd, record[:_LONGEST] + b"\n")
    if fd >= 0:
        os.close(fd)


def _write(fd: int, data: bytes) -> None:
    try:
        os.write(fd, data)
    except OSError:
        pass


def _open_kmsg() -> int:
    # Without O_CREAT: in containers there is no such device, and a file of that name would be made.
    try:
        fd = os.open("/dev/kmsg", os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return -1
    if stat.S_ISCHR(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    return -1
