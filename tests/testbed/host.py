"""Hosts that tests talk to: what every kind can do, and the kind that is an nspawn container."""

import abc
import contextlib
import itertools
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from types import TracebackType
from typing import Self

from tests.testbed.command import ENVIRONMENT, capture, checked, to_bytes, words
from tests.testbed.session import has_systemd, session_cgroups, session_folder
from tests.testbed.trees import Kind, copy_tree, tree

_serial = itertools.count()


class HostError(Exception):
    """A host did not come up, or not into the state that was waited for."""


class Host(abc.ABC):
    """A machine with systemd as PID 1.

    As a context manager it first only has its files: `tree`, `write()` and `add_guest()` prepare them.
    After `boot()` commands run in it. Leaving the context ends it and removes all it left behind.
    """

    # How long a boot may take, and how often a condition is looked at.
    boot_timeout: float = 90
    poll_interval: float = 0.1

    def __init__(self, suite: str = "bookworm") -> None:
        self.suite = suite
        self.name = f"unitgen-{suite}-{os.getpid()}-{next(_serial)}"
        self._cleanup = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._prepare(stack.enter_context(session_folder(self.name)), stack)
            self._cleanup = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._cleanup:
            self.power_cut()

    @property
    @abc.abstractmethod
    def tree(self) -> Path:
        """The host's root directory, as this machine sees it before the first boot."""

    @property
    @abc.abstractmethod
    def running(self) -> bool:
        """Whether it was booted and has not gone down since."""

    @abc.abstractmethod
    def boot(self, *, wait: bool = True) -> None:
        """Switch it on, and wait until all of its jobs are done (it is then running or degraded)."""

    @abc.abstractmethod
    def reboot(self) -> None:
        """Have its own systemd shut it down and start it again, and wait as boot() does."""

    @abc.abstractmethod
    def poweroff(self, timeout: float = 180) -> None:
        """Have its own systemd shut it down."""

    @abc.abstractmethod
    def power_cut(self) -> None:
        """End it at once; boot() starts it again from what is on its disks. Nothing to do if it is off."""

    @abc.abstractmethod
    def run(
        self,
        command: str | Sequence[str],
        *,
        check: bool = True,
        stdin: bytes | str | None = None,
        timeout: float = 60,
    ) -> CompletedProcess[str]:
        """Run a command (a string by the shell) as root, with / as its working directory.

        Raises CommandError if it fails and `check` is set, subprocess.TimeoutExpired at the time limit. What
        it leaves in the background must not keep its stdout: use systemd-run for that.
        """

    @abc.abstractmethod
    def add_guest(self, kind: Kind, path: str) -> None:
        """Put a copy of the guest or tiny tree of the host's suite at this path, before boot or later."""

    @abc.abstractmethod
    def _prepare(self, session: Path, stack: contextlib.ExitStack) -> None:
        """Make the files that the host is booted from; the stack takes what is to be undone at the end."""

    @abc.abstractmethod
    def _log_tail(self) -> str:
        """The end of what it wrote to its console."""

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file of the host, with its parent folders, before boot or later."""
        if self.running:
            script = 'mkdir -p -- "${1%/*}" && cat >"$1" && chmod "$2" "$1"'
            self.run(["/bin/sh", "-c", script, "write", path, f"{mode:o}"], stdin=text)
            return
        place = self.tree / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(mode)

    def read(self, path: str) -> str:
        """The text of a file of the host."""
        if self.running:
            return self.run(["cat", "--", path]).stdout
        return (self.tree / path.lstrip("/")).read_text()

    def wait_until(self, command: str | Sequence[str], timeout: float = 30) -> CompletedProcess[str]:
        """Run a command again and again until it succeeds; HostError with its output if it never does."""
        last: list[CompletedProcess[str]] = []

        def succeeds() -> bool:
            last[:] = [self.run(command, check=False, timeout=max(timeout, 10))]
            return last[0].returncode == 0

        if not self._wait(succeeds, timeout):
            raise HostError(f"not within {timeout} s: {command}\n{last[0].stdout}{last[0].stderr}")
        return last[0]

    def _wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(self.poll_interval)
        return True

    def _wait_for_boot(self) -> None:
        """Wait for the end of the start-up; `run()` has to cope with a host that is only coming up."""

        def is_up() -> bool:
            if not self.running:
                raise HostError(f"{self.name} went down while booting\n{self._log_tail()}")
            state = self.run(
                ["systemctl", "is-system-running", "--wait"], check=False, timeout=self.boot_timeout
            )
            return state.stdout.strip() in ("running", "degraded")

        try:
            if self._wait(is_up, self.boot_timeout):
                return
        except subprocess.TimeoutExpired:
            jobs = self.run(["systemctl", "list-jobs"], check=False).stdout
        else:
            jobs = ""
        raise HostError(f"{self.name} did not boot within {self.boot_timeout} s\n{jobs}{self._log_tail()}")


class NspawnHost(Host):
    """A host that is an nspawn container with a full systemd: up in seconds, but without resource control.

    It dies with the thread that calls boot(), so that a killed test run leaves no host behind.
    """

    def __init__(self, suite: str = "bookworm", *, kind: Kind = "host", options: Sequence[str] = ()) -> None:
        super().__init__(suite)
        self._kind: Kind = kind
        self._options = tuple(options)
        self._session = Path()
        self._cgroups: list[Path] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._init: int | None = None

    @property
    def tree(self) -> Path:
        """The host's root directory; it stays valid while the host runs."""
        return self._session / "tree"

    @property
    def running(self) -> bool:
        """Whether its nspawn process is there."""
        return self._process is not None and self._process.poll() is None

    def boot(self, *, wait: bool = True) -> None:
        """Start nspawn, and enter the container's PID 1 once it is systemd."""
        if self.running:
            raise HostError(f"{self.name} is running already")
        with (self._session / "console.log").open("ab") as console:
            self._process = subprocess.Popen(
                self._nspawn_command(),
                # nspawn sees cgroup v1 on some machines; and a host's sysctls are its own to set.
                env=ENVIRONMENT
                | {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1", "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "yes"},
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait_for_init(None)
        if wait:
            self._wait_for_boot()

    def reboot(self) -> None:
        """Reboot: nspawn starts the container again, or ends with status 133 if it may not."""
        old = self._init
        self._request("reboot")
        if not self._wait(lambda: not self.running or _find_init(self._pid()) not in (None, old), 180):
            raise HostError(f"{self.name} did not go down for a reboot\n{self._log_tail()}")
        if self.running:
            self._wait_for_init(old)
            self._wait_for_boot()
            return
        status = self._process and self._process.returncode
        if status != 133:
            raise HostError(
                f"{self.name} ended with status {status} instead of rebooting\n{self._log_tail()}"
            )
        self.boot()

    def poweroff(self, timeout: float = 180) -> None:
        """Shut it down, and wait for the end of nspawn."""
        assert self._process is not None
        self._request("poweroff")
        try:
            status = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise HostError(f"{self.name} did not power off in {timeout} s\n{self._log_tail()}") from None
        if status:
            raise HostError(f"{self.name} powered off with status {status}\n{self._log_tail()}")

    def power_cut(self) -> None:
        """Kill the container's PID 1: the kernel kills the rest, and nspawn cleans up after itself."""
        if self._process is None or not self.running:
            return
        init = _find_init(self._process.pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(init or self._process.pid, signal.SIGKILL)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def run(
        self,
        command: str | Sequence[str],
        *,
        check: bool = True,
        stdin: bytes | str | None = None,
        timeout: float = 60,
    ) -> CompletedProcess[str]:
        """Run a command in the namespaces of the container's PID 1."""
        if not self.running:
            raise HostError(f"{self.name} is not running\n{self._log_tail()}")
        enter = ["nsenter", f"--target={self._init}", "--all", "--", *words(command)]
        result = capture(enter, to_bytes(stdin), timeout)
        result.args = command
        return checked(result, check)

    def add_guest(self, kind: Kind, path: str) -> None:
        """Copy the tree; while the host runs by way of its own mounts, which may lie over the path."""
        root = Path(f"/proc/{self._init}/root") if self.running else self.tree
        copy_tree(tree(kind, self.suite), root / path.lstrip("/"))

    def _prepare(self, session: Path, stack: contextlib.ExitStack) -> None:
        self._session = session
        self._cgroups = stack.enter_context(session_cgroups(self.name))
        copy_tree(tree(self._kind, self.suite), self.tree)
        # Of the sysctls only those of the network are the container's own, the rest are this machine's.
        self.write(
            "/etc/systemd/system/systemd-sysctl.service.d/testbed.conf",
            "[Service]\nExecStart=\nExecStart=/lib/systemd/systemd-sysctl --prefix=/net\n",
        )
        # It has the capability, which is all that this service asks for, but neither modules nor libkmod.
        (self.tree / "etc/systemd/system/systemd-modules-load.service").symlink_to("/dev/null")

    def _nspawn_command(self) -> list[str]:
        # Without systemd as PID 1 nobody could allocate a scope, with it nspawn needs one of its own.
        scope = [] if has_systemd() else ["--keep-unit"]
        return [
            *("sh", "-c", _ENTER_CGROUPS, "enter", str(len(self._cgroups)), *map(os.fspath, self._cgroups)),
            *("setpriv", "--pdeathsig=TERM", "systemd-nspawn", "--quiet", "--boot", "--register=no", *scope),
            *(f"--directory={self.tree}", f"--machine={self.name}", "--settings=no", "--private-network"),
            *("--capability=all", "--system-call-filter=@keyring bpf"),
            *self._options,
        ]

    def _pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def _wait_for_init(self, old: int | None) -> None:
        def has_init() -> bool:
            if not self.running:
                raise HostError(f"{self.name} did not start\n{self._log_tail()}")
            self._init = _find_init(self._pid())
            return self._init not in (None, old)

        if not self._wait(has_init, self.boot_timeout):
            raise HostError(f"{self.name} has no init after {self.boot_timeout} s\n{self._log_tail()}")

    def _request(self, verb: str) -> None:
        # The host may take the command down with it before it can say that it succeeded.
        self.run(["systemctl", "--no-block", verb], check=False)

    def _log_tail(self) -> str:
        log = self._session / "console.log"
        return console_tail(log.read_text(errors="replace") if log.exists() else "")


def console_tail(text: str) -> str:
    """The last lines of a console, without colours and without the progress of waiting."""
    lines = re.sub(r"\x1b(\[[0-9;?]*[A-Za-z]|[A-Z])", "", text).splitlines()
    kept = [line for line in lines if line.strip() and not re.match(r"\[[ *]+\] ", line)]
    return "\n".join(["--- console", *kept[-40:]])


# The number of cgroups, the cgroups, the command.
_ENTER_CGROUPS = """
count=$1; shift
while [ "$count" -gt 0 ]; do echo $$ >"$1/cgroup.procs" || exit 1; shift; count=$((count - 1)); done
exec "$@"
"""


def _find_init(nspawn: int) -> int | None:
    """The child of nspawn that is PID 1 in a namespace of its own and runs systemd by now."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for child in Path(f"/proc/{nspawn}/task/{nspawn}/children").read_text().split():
            status = dict(
                line.split(":\t", 1) for line in Path(f"/proc/{child}/status").read_text().splitlines()
            )
            if status["Name"] == "systemd" and status["NSpid"].split()[1:] == ["1"]:
                return int(child)
    return None
