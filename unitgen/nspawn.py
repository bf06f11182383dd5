"""A spec to the command line of systemd-nspawn(1), for the installed version."""

import signal
from collections.abc import Iterable
from typing import NamedTuple

from unitgen.keys import KEYS
from unitgen.model import Host, Setting, Spec
from unitgen.mounts import find_target
from unitgen.network import find_owner, name_namespace
from unitgen.ports import list_pairs, read_ports
from unitgen.schema import Key
from unitgen.versions import is_supported

RESOLV_CONF = "/etc/resolv.conf"
RUNTIME_FOLDER = "/run/unitgen"

_OPTIONS = {place: row for place, row in KEYS.items() if row.option}
_BASE = ("systemd-nspawn", "--quiet", "--keep-unit", "--settings=no")


def build_command(spec: Spec, host: Host) -> tuple[str, ...]:
    """The whole command line, without the options that the installed systemd does not have.

    `--settings=no` makes it the only truth: a .nspawn file beside the image changes nothing.
    """
    words = [*_enter_namespace(spec), *_BASE, f"--machine={spec.name}", *_choose_mode(spec)]
    words += [*_choose_users(spec), *_choose_network(spec), *_choose_journal(spec)]
    for place, row in _OPTIONS.items():
        setting = spec.settings.get(place)
        if setting and is_supported(setting, host):
            words += _format_option(row, setting)
    parameters = spec.texts("Exec", "Parameters")
    if parameters:
        words += ["--", *parameters]
    return tuple(words)


def boots(spec: Spec) -> bool:
    """True if PID 1 of the container is the tree's own init."""
    return spec.flag("Exec", "Boot", not spec.flag("Exec", "ProcessTwo", False))


class Stop(NamedTuple):
    """How the container is stopped: the signal, and how often to look whether PID 1 takes it yet."""

    signal: int
    tries: int


def plan_stop(spec: Spec) -> Stop:
    """The number of the signal that PID 1 of the container gets."""
    patient = boots(spec) or spec.flag("Exec", "ProcessTwo", False)
    default = "SIGRTMIN+3" if patient else "SIGTERM"
    # A command of its own may never handle its signal, which the kernel then ignores for a PID 1.
    number = number_signal(spec.text("Exec", "KillSignal", default))
    # The shell of the hook computes with 63 bits, of which the template leaves the upper four out.
    return Stop(number, 0 if number > 60 else 100 if patient else 10)


def number_signal(name: str) -> int:
    """The number of a signal as parse_signal() returns it; glibc keeps 32 and 33 of the real-time ones."""
    if name.isdigit():
        return int(name)
    kind, _, offset = name.replace("-", "+").partition("+")
    if kind == "SIGRTMIN":
        return 34 + int(offset or 0)
    return 64 - int(offset or 0) if kind == "SIGRTMAX" else int(getattr(signal, kind))


def _choose_mode(spec: Spec) -> Iterable[str]:
    if boots(spec):
        # An OCI bundle says itself what to run.
        if not spec.find("Container", "OCIBundle"):
            yield "--boot"
        return
    two = spec.flag("Exec", "ProcessTwo", False)
    if two:
        yield "--as-pid2"
    if not spec.find("Exec", "KillSignal"):
        # Without a signal systemd-nspawn kills the payload and reports failure. The stub init of --as-pid2
        # powers off in order at SIGRTMIN+3 (src/nspawn/nspawn-stub-pid1.c); a command of its own expects
        # what every service gets.
        yield "--kill-signal=SIGRTMIN+3" if two else "--kill-signal=SIGTERM"


def _choose_users(spec: Spec) -> Iterable[str]:
    users = spec.text("Exec", "PrivateUsers")
    chown = spec.find("Files", "PrivateUsersChown")
    owned = chown or spec.find("Files", "PrivateUsersOwnership")
    if users:
        yield f"--private-users={users}"
    else:
        # -U is what the vendor's template has; it alone copes with a kernel without user namespaces.
        yield "-U" if not owned else "--private-users=pick"
    if chown and not spec.find("Files", "PrivateUsersOwnership"):
        yield "--private-users-ownership=" + ("chown" if chown.values[-1] else "off")


def _choose_network(spec: Spec) -> Iterable[str]:
    if find_owner(spec):
        yield from _choose_resolver(spec)
        return
    if spec.flag("Network", "Private", False):
        yield "--private-network"
    if spec.flag("Network", "VirtualEthernet", False):
        yield "--network-veth"
    for value in spec.texts("Network", "Port"):
        for port in read_ports(value):
            for host, guest in list_pairs(port):
                yield f"--port={port.protocol}:{host}:{guest}"


def writes_resolver(spec: Spec) -> bool:
    """True if /etc/resolv.conf of the container is unitgen's: where the spec says nothing else."""
    keys = ("Bind", "BindReadOnly")
    targets = {find_target(key, value) for key in keys for value in spec.texts("Files", key)}
    return bool(find_owner(spec)) and not spec.find("Exec", "ResolvConf") and RESOLV_CONF not in targets


def _choose_resolver(spec: Spec) -> Iterable[str]:
    """The files that packaging/network writes."""
    if not writes_resolver(spec):
        return
    owner = find_owner(spec)
    yield "--resolv-conf=off"
    yield f"--bind-ro={RUNTIME_FOLDER}/resolv.conf/{owner}:{RESOLV_CONF}"
    if boots(spec):
        # A systemd-resolved in the guest has /etc/resolv.conf as a link to a file of its own, and could not
        # write that if it were mounted (257). Mounts are made in the order of their names, so this one hides
        # it again. It belongs to the container's root, as a folder made for a mount does not on 252.
        yield "--tmpfs=/run/systemd:mode=0755"
        yield f"--bind-ro={RUNTIME_FOLDER}/resolved.conf/{owner}:/run/systemd/resolved.conf.d/unitgen.conf"


def _enter_namespace(spec: Spec) -> Iterable[str]:
    """Into the namespace of unitgen's. systemd-nspawn cannot do it itself together with user ids of its own:
    --network-namespace-path= then fails (tried on 252 and 257), and NetworkNamespacePath= of the unit would
    take the unit's other commands along.
    """
    if find_owner(spec):
        yield from ("nsenter", f"--net=/run/netns/{name_namespace(find_owner(spec))}", "--")


def _choose_journal(spec: Spec) -> Iterable[str]:
    # Up to 255 --ephemeral excludes every --link-journal=. A command has no journal, and a tree without
    # machine id would leave another link in the host's journal folder at each start.
    if boots(spec) and not spec.find("Exec", "LinkJournal") and not spec.flag("Exec", "Ephemeral", False):
        yield "--link-journal=try-guest"


def _format_option(row: Key, setting: Setting) -> Iterable[str]:
    for value in setting.values:
        if isinstance(value, bool):
            if "{}" in row.option:
                yield row.option.replace("{}", "yes" if value else "no")
            elif value:
                yield row.option
        elif isinstance(value, str):
            yield row.option.replace("{}", value)
        elif "{,}" in row.option:
            yield row.option.replace("{,}", ",".join(value))
        else:
            for word in value:
                yield row.option.replace("{}", word)
