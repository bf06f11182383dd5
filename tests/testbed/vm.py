"""The host that is a virtual machine: slow, but with resource control, power cuts and a /var of its own."""

import base64
import contextlib
import functools
import itertools
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from tests.testbed import agent
from tests.testbed.command import ENVIRONMENT, capture, checked, to_bytes, words
from tests.testbed.host import Host, HostError, console_tail
from tests.testbed.trees import Kind, copy_tree, remove_tree, tree

_AGENT = "/usr/local/lib/testbed/agent.py"
_PORT_NAME = "unitgen.0"
_PORT = f"/dev/virtio-ports/{_PORT_NAME}"
_DEVICE = "dev-virtio\\x2dports-unitgen.0.device"
_AGENT_UNIT = f"""\
[Unit]
Description=Testbed agent
Requires={_DEVICE}
After={_DEVICE}

[Service]
ExecStart=/usr/bin/python3 {_AGENT} {_PORT}
Restart=always
RestartSec=0
"""
_FSTAB = "LABEL=root / ext4 rw 0 0\nLABEL=var /var ext4 rw 0 0\n"


class VmHost(Host):
    """A virtual machine under qemu, with one disk for / and one for /var.

    It dies with the thread that calls boot(), so that a killed test run leaves no machine behind.
    """

    kind: Kind = "vm"  # of the tree that its disks are made of
    boot_timeout = 300
    poll_interval = 0.5

    def __init__(
        self, suite: str = "bookworm", *, memory: str = "4096", options: Sequence[str] = ()
    ) -> None:
        super().__init__(suite)
        self._memory = memory
        self._options = tuple(options)
        self._session = Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._port: socket.socket | None = None
        self._received = bytearray()
        self._serial = itertools.count()

    @property
    def tree(self) -> Path:
        """The root directory that the disks are made of; gone after the first boot."""
        return self._session / "tree"

    @property
    def running(self) -> bool:
        """Whether qemu is there."""
        return self._process is not None and self._process.poll() is None

    def boot(self, *, wait: bool = True) -> None:
        """Make the disks, if this is the first time, and start qemu."""
        if self.running:
            raise HostError(f"{self.name} is running already")
        if self.tree.exists():
            self._make_disks()
        self._start()
        if wait:
            self._wait_for_agent("")
            self._wait_for_boot()

    def reboot(self) -> None:
        """Reboot inside the same qemu."""
        old = self._boot_id()
        self.run(["systemctl", "--no-block", "reboot"], check=False)
        self._wait_for_agent(old)
        self._wait_for_boot()

    def poweroff(self, timeout: float = 300) -> None:
        """Shut it down, and wait for the end of qemu."""
        assert self._process is not None
        self.run(["systemctl", "--no-block", "poweroff"], check=False)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise HostError(f"{self.name} did not power off in {timeout} s\n{self._log_tail()}") from None

    def power_cut(self) -> None:
        """Kill qemu: what the machine has not written to its disks is lost."""
        if self._process is not None and self.running:
            self._process.kill()
            self._process.wait()

    def run(
        self,
        command: str | Sequence[str],
        *,
        check: bool = True,
        stdin: bytes | str | None = None,
        timeout: float = 120,
    ) -> CompletedProcess[str]:
        """Have the agent run a command; HostError if the machine goes down or is silent for too long."""
        reply = self._ask(words(command), to_bytes(stdin), timeout, patience=timeout + 60)
        out, err = (base64.b64decode(reply[key]).decode(errors="replace") for key in ("stdout", "stderr"))
        if reply["status"] is None:
            raise subprocess.TimeoutExpired(command, timeout, out.encode(), err.encode())
        return checked(CompletedProcess(command, reply["status"], out, err), check)

    def add_guest(self, kind: Kind, path: str) -> None:
        """Copy the tree; while the machine runs by way of the agent, at some 8 MB/s."""
        source = tree(kind, self.suite)
        if not self.running:
            copy_tree(source, self.tree / path.lstrip("/"))
            return
        pack = ["tar", "--create", "--numeric-owner", f"--directory={source}", "."]
        archive = subprocess.run(pack, check=True, stdout=subprocess.PIPE).stdout
        unpack = 'mkdir -p -- "$1" && tar --extract --numeric-owner --directory="$1"'
        self.run(["/bin/sh", "-c", unpack, "unpack", path], stdin=archive, timeout=600)

    def _prepare(self, session: Path, stack: contextlib.ExitStack) -> None:
        self._session = session
        stack.callback(self._close_port)
        copy_tree(tree(self.kind, self.suite), self.tree)
        for pattern, name in (("vmlinuz-*", "kernel"), ("initrd.img-*", "initrd")):
            shutil.copy2(next((self.tree / "boot").glob(pattern)), session / name)
        self.write("/etc/fstab", _FSTAB)
        self.write(_AGENT, Path(agent.__file__).read_text())
        self.write("/etc/systemd/system/testbed-agent.service", _AGENT_UNIT)
        wants = self.tree / "etc/systemd/system/multi-user.target.wants"
        wants.mkdir(exist_ok=True)
        (wants / "testbed-agent.service").symlink_to("../testbed-agent.service")

    def _make_disks(self) -> None:
        """Make the two disks and do away with the tree; the files are sparse, so size costs nothing."""
        var = self._session / "var"
        (self.tree / "var").rename(var)
        (self.tree / "var").mkdir()
        for label, folder, size in (("root", self.tree, "4G"), ("var", var, "16G")):
            image = os.fspath(self._session / f"{label}.img")
            make = ["mkfs.ext4", "-q", "-L", label, "-d", os.fspath(folder), image, size]
            checked(capture(make, b"", 600), True)
            remove_tree(folder)

    def _qemu_command(self, port: int) -> list[str]:
        kernel = self._session / "kernel"
        return [
            *("setpriv", "--pdeathsig=KILL", "qemu-system-x86_64", *accelerator(kernel), "-smp", "2"),
            *("-m", self._memory, "-display", "none", "-nodefaults", "-kernel", os.fspath(kernel)),
            *("-initrd", os.fspath(self._session / "initrd")),
            *("-append", "console=ttyS0 root=/dev/vda rw quiet systemd.show_status=1"),
            *self._disk("root"),
            *self._disk("var"),
            *("-chardev", f"file,id=console,path={self._session / 'console.log'},append=on"),
            *("-serial", "chardev:console", "-device", "virtio-serial"),
            *("-chardev", f"socket,id=agent,fd={port}"),
            *("-device", f"virtserialport,chardev=agent,name={_PORT_NAME}"),
            *self._options,
        ]

    def _disk(self, label: str) -> list[str]:
        # unsafe: a flush need not reach this machine's own disk, the image only has to outlive qemu.
        return ["-drive", f"file={self._session / label}.img,if=virtio,format=raw,cache=unsafe"]

    def _start(self) -> None:
        """Start qemu with one end of a new pair of sockets; only qemu keeps that, so its end is seen."""
        self._close_port()
        self._port, theirs = socket.socketpair()
        with theirs, (self._session / "qemu.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._qemu_command(theirs.fileno()),
                env=ENVIRONMENT,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _close_port(self) -> None:
        if self._port is not None:
            self._port.close()
        self._port = None
        self._received = bytearray()

    def _ask(self, command: list[str], stdin: bytes, timeout: float, patience: float) -> dict[str, Any]:
        """Send a request and wait for its answer; answers to requests that were given up are passed over."""
        serial = next(self._serial)
        request = {
            "id": serial,
            "command": command,
            "environment": ENVIRONMENT,
            "stdin": base64.b64encode(stdin).decode(),
            "timeout": timeout,
        }
        deadline = time.monotonic() + patience
        try:
            if self._port is None:
                raise EOFError
            self._port.settimeout(patience)
            self._port.sendall(json.dumps(request).encode() + b"\n")
            while (reply := self._receive(self._port, deadline))["id"] != serial:
                pass
        except (OSError, EOFError):
            state = "is silent" if self.running else "is not running"
            raise HostError(f"{self.name} {state}\n{self._log_tail()}") from None
        return reply

    def _receive(self, port: socket.socket, deadline: float) -> dict[str, Any]:
        # What has come is kept even if the rest is late: the next caller passes over that answer.
        complete = b"\n" in self._received
        while not complete:
            port.settimeout(max(deadline - time.monotonic(), 0.01))
            chunk = port.recv(1 << 16)
            if not chunk:
                raise EOFError
            self._received += chunk
            complete = b"\n" in chunk
        line, _, self._received = self._received.partition(b"\n")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def _boot_id(self) -> str:
        """Tells one boot from the next; empty while the agent does not answer."""
        try:
            reply = self._ask(["cat", "/proc/sys/kernel/random/boot_id"], b"", 5, patience=5)
        except HostError:
            return ""
        return base64.b64decode(reply["stdout"]).decode().strip()

    def _wait_for_agent(self, old: str) -> None:
        def answers() -> bool:
            if not self.running:
                raise HostError(f"{self.name} went down\n{self._log_tail()}")
            return self._boot_id() not in ("", old)

        if not self._wait(answers, self.boot_timeout):
            raise HostError(f"{self.name} does not answer after {self.boot_timeout} s\n{self._log_tail()}")

    def _log_tail(self) -> str:
        logs = [self._session / name for name in ("qemu.log", "console.log")]
        return console_tail("".join(log.read_text(errors="replace") for log in logs if log.exists()))


@functools.cache
def accelerator(kernel: Path) -> tuple[str, ...]:
    """KVM if a kernel gets as far as missing its root file system with it, else emulation.

    That /dev/kvm can be opened proves nothing: inside other virtual machines it may be there and hang.
    """
    kvm = ("-accel", "kvm", "-cpu", "host")
    probe = ["qemu-system-x86_64", *kvm, "-m", "512", "-display", "none", "-nodefaults", "-no-reboot"]
    with contextlib.suppress(subprocess.TimeoutExpired):
        if os.access("/dev/kvm", os.R_OK | os.W_OK):
            result = capture([*probe, "-kernel", os.fspath(kernel), "-append", "panic=-1"], b"", 10)
            if result.returncode == 0:
                return kvm
    return ("-accel", "tcg,thread=multi", "-cpu", "max")
