"""Looks into running containers from their host."""

import base64

from tests.testbed.containers import unit
from tests.testbed.host import Host


def leader(host: Host, name: str) -> str:
    """The host's number of the container's PID 1."""
    return host.run(["machinectl", "show", name, "--property=Leader", "--value"]).stdout.strip()


def run_inside(host: Host, name: str, command: str, *, check: bool = True) -> str:
    """What a shell command prints that runs in all of the container's namespaces."""
    enter = ["nsenter", f"--target={leader(host, name)}", "--all", "--", "/bin/sh", "-c", command]
    return host.run(enter, check=check).stdout


def read_words(host: Host, name: str, path: str) -> list[str]:
    """The NUL-separated words of a file of the container, as /proc/PID/cmdline, byte for byte."""
    data = base64.b64decode(run_inside(host, name, f"base64 {path}"))
    return data.decode().split("\0")[:-1]


def show(host: Host, name: str, *properties: str) -> dict[str, str]:
    """Properties of the container's service."""
    output = host.run(["systemctl", "show", f"--property={','.join(properties)}", unit(name)]).stdout
    return dict(line.split("=", 1) for line in output.splitlines())


def start(host: Host, name: str) -> None:
    """Start the container's service and wait until its payload is there."""
    host.run(["systemctl", "start", unit(name)])
    wait_for_payload(host, name)


def wait_for_payload(host: Host, name: str) -> None:
    """Wait until PID 1 of the container is its own program.

    systemd-nspawn says that it is ready while its child still sets the container up; a signal that comes
    then is lost, so a stop at that moment lasts until TimeoutStopSec=.
    """
    command = f"leader=$(machinectl show {name} --property=Leader --value) && cat /proc/$leader/comm"
    host.wait_until(f"{command} | grep -v systemd-nspawn")


def wait_until_booted(host: Host, name: str) -> None:
    """Wait until the systemd of a guest has done all its jobs."""
    host.wait_until(f"systemctl --machine={name} is-system-running | grep -E 'running|degraded'", timeout=60)


def stop(host: Host, name: str) -> dict[str, str]:
    """Stop the container's service; how it ended."""
    host.run(["systemctl", "stop", unit(name)], timeout=150)
    return show(host, name, "ActiveState", "Result")


CLEAN = {"ActiveState": "inactive", "Result": "success"}
