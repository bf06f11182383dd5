"""Settings of one spec that exclude or need each other, as verify_arguments() of nspawn.c has it."""

from collections.abc import Callable, Iterator
from itertools import chain, combinations

from unitgen.directives import UNIT_NAME
from unitgen.errors import Problem, cap_problems
from unitgen.keys import DEPENDENCIES, IMAGES
from unitgen.model import Setting, Spec
from unitgen.mounts import find_target
from unitgen.network import NATIVE_MODES, find_owner, has_private_network, is_managed
from unitgen.nspawn import boots
from unitgen.ports import PortBook, read_ports
from unitgen.values import split_blanks

# What belongs to a network of unitgen's, and to the one container that has it.
_OF_ADDRESS = (
    ("Network", "Gateway"),
    ("Network", "DNS"),
    ("Firewall", "AllowFrom"),
    ("Firewall", "Isolate"),
)
_MOST_NATIVE_PORTS = 1000
_MOST_MAPPED_PORTS = 10_000  # of a spec, in ranges of no more than _MOST_NATIVE_PORTS

_EXCLUSIVE = (
    *((("Container", first), ("Container", second)) for first, second in combinations(IMAGES, 2)),
    *((("Container", "Template"), ("Container", key)) for key in IMAGES if key != "Directory"),
    (("Container", "Template"), ("Exec", "Ephemeral")),
    (("Container", "MStack"), ("Exec", "Ephemeral")),
    (("Exec", "Boot"), ("Exec", "ProcessTwo")),
    (("Files", "PrivateUsersOwnership"), ("Files", "PrivateUsersChown")),
    (("Network", "Bridge"), ("Network", "Zone")),
    *(
        (("Network", first), ("Network", mode))
        for first in ("NamespacePath", "Address", "Share")
        for mode in (*NATIVE_MODES, "Address")
        if mode not in (first, "Private") and (first, mode) != ("NamespacePath", "Address")
    ),
    *((("Network", "Share"), key) for key in _OF_ADDRESS),
    (("Network", "Share"), ("Network", "Port")),
)


# A setting that systemd-nspawn ignores or refuses without another one.
_NEEDS = (
    ("Files", "RootHash", ("Container", "Image")),
    ("Files", "RootHashSignature", ("Container", "Image")),
    ("Files", "RootVerity", ("Container", "Image")),
    ("Files", "ImagePolicy", ("Container", "Image")),
    ("Network", "BridgeAddress", ("Network", "Bridge")),
    ("Files", "BindUserShell", ("Files", "BindUser")),
    ("Files", "BindUserGroup", ("Files", "BindUser")),
    *(
        ("Exec", f"ForwardJournal{name}", ("Exec", "ForwardJournal"))
        for name in ("MaxUse", "KeepFree", "MaxFileSize", "MaxFiles")
    ),
)


def check_rules(spec: Spec, backend: str = "") -> tuple[Problem, ...]:
    """Every conflict in a spec. `backend` is that of the firewall where the spec does not say."""
    checks = (*(check(spec) for check in _CHECKS), _check_map(spec, backend))
    return tuple(cap_problems(chain.from_iterable(checks), spec.path))


def _check_exclusive(spec: Spec) -> Iterator[Problem]:
    for first, second in _EXCLUSIVE:
        one, other = spec.find(*first), spec.find(*second)
        if not one or not other or _is_default(other):
            continue
        if one.values[-1] is not False and other.values[-1] is not False:
            yield _conflict(other, f"excludes {_show(one)}", "keep one of them")


def _check_command(spec: Spec) -> Iterator[Problem]:
    ambient = spec.find("Exec", "AmbientCapability")
    if ambient and boots(spec):
        yield _conflict(ambient, "has no use for a container that boots", "set [Exec] Boot=no or remove it")
    boot = spec.find("Exec", "Boot") or spec.find("Exec", "ProcessTwo")
    if boot and not boots(spec) and not spec.find("Exec", "Parameters"):
        message = "no command is given: a shell is started, which ends at once without a terminal"
        yield _conflict(boot, message, "write [Exec] Parameters=COMMAND")._replace(severity="warning")
    for key in ("SetCredential", "LoadCredential"):
        yield from _check_unique(spec, "Exec", key, lambda value: value.partition(":")[0], "is set twice")
    loaded = {value.partition(":")[0] for value in spec.texts("Exec", "LoadCredential")}
    credentials = spec.find("Exec", "SetCredential")
    if credentials and not loaded.isdisjoint(str(value).partition(":")[0] for value in credentials.values):
        yield _conflict(credentials, "sets a credential that LoadCredential= loads", "keep one of them")
    dropped = {*spec.texts("Exec", "DropCapability")}
    if ambient and ("all" in dropped or not dropped.isdisjoint(spec.texts("Exec", "AmbientCapability"))):
        yield _conflict(ambient, "names a capability that DropCapability= takes away", "keep one of them")
    link = spec.find("Exec", "LinkJournal")
    if link and link.values[-1] in ("host", "guest") and spec.flag("Exec", "Ephemeral", False):
        yield _conflict(link, "excludes [Exec] Ephemeral=yes", "write LinkJournal=no or auto")


def _check_network(spec: Spec) -> Iterator[Problem]:
    joined = spec.find("Network", "NamespacePath")
    port = spec.find("Network", "Port")
    if port and (joined or not has_private_network(spec)):
        yield _conflict(port, "no port can lead to a container without a network of its own", "remove it")
    managed = spec.find("Exec", "PrivateUsers")
    unfit = joined or find_owner(spec) or not has_private_network(spec)
    if managed and managed.values[-1] == "managed" and unfit:
        # nsresourced, which gives the user ids, also makes the link.
        hint = "write pick, or [Network] VirtualEthernet=yes"
        yield _conflict(managed, "managed needs a network that systemd-nspawn makes", hint)
    if not is_managed(spec):
        yield from _check_native(spec)
    yield from _check_ports(spec)


def _check_native(spec: Spec) -> Iterator[Problem]:
    """What needs an address that is known here."""
    for section, key in _OF_ADDRESS:
        setting = spec.find(section, key)
        if setting and not _is_default(setting) and not spec.find("Network", "Share"):
            yield _conflict(
                setting, "needs a network of unitgen's", "add [Network] Address=auto or remove it"
            )
    count = 0
    for value, (path, line) in spec.parts("Network", "Port"):
        for port in read_ports(str(value)):
            count += port.host.last - port.host.first + 1
            if port.address:
                message = "systemd-nspawn cannot bind a port to an address of the host"
                hint = "remove the address, or use [Network] Address="
                yield Problem("conflict", path, message, hint, line, "Network", "Port")
            elif count > _MOST_NATIVE_PORTS:
                message = f"these are more than {_MOST_NATIVE_PORTS} ports, each an option of systemd-nspawn"
                hint = "use [Network] Address=, where a range is one rule"
                yield Problem("conflict", path, message, hint, line, "Network", "Port")
                return


def _check_ports(spec: Spec) -> Iterator[Problem]:
    earlier: PortBook[None] = PortBook()
    for value, (path, line) in spec.parts("Network", "Port"):
        for port in read_ports(str(value)):
            other = next(earlier.find(port), None)
            if other:
                message = f"forwards a port twice: {port.format()} and {other[0].format()}"
                yield Problem("conflict", path, message, "remove one", line, "Network", "Port")
            if is_managed(spec) and port.address and not _has_version(spec, port.address):
                message = f"the container has no address of the kind of {port.address}"
                yield Problem("conflict", path, message, "add one to Address=", line, "Network", "Port")
            earlier.add(port, None)


def _check_map(spec: Spec, backend: str) -> Iterator[Problem]:
    """Ranges of ports that change, in which nft has to name each."""
    if not is_managed(spec) or spec.text("Firewall", "Backend", backend) != "nft":
        return
    count = 0
    for value, (path, line) in spec.parts("Network", "Port"):
        shifted = [port for port in read_ports(str(value)) if port.host != port.guest]
        lengths = [port.host.last - port.host.first + 1 for port in shifted]
        count += sum(length for length in lengths if length > 1)
        is_long = max(lengths, default=0) > _MOST_NATIVE_PORTS
        if is_long or count > _MOST_MAPPED_PORTS:
            most = _MOST_NATIVE_PORTS if is_long else _MOST_MAPPED_PORTS
            message = f"nft has to name each of more than {most} ports that change"
            yield Problem("conflict", path, message, "write the same on both sides", line, "Network", "Port")
        if count > _MOST_MAPPED_PORTS:
            return


def _is_default(setting: Setting) -> bool:
    """True for what unitgen.conf says to the containers that can have it. A limit has to be kept by all."""
    return (setting.section, setting.key) in _OF_ADDRESS[:2] and "/unitgen.conf" in setting.place[0]


def _has_version(spec: Spec, address: str) -> bool:
    words = spec.texts("Network", "Address") or ("auto",)
    pools = spec.texts("Network", "Pool")
    of_kind = [":" in word for word in words if word != "auto"]
    if "auto" in words:
        of_kind += [":" in pool for pool in pools] if pools else [True, False]
    return (":" in address) in of_kind


def _check_unique(
    spec: Spec, section: str, key: str, identify: Callable[[str], str], message: str
) -> Iterator[Problem]:
    seen: set[str] = set()
    for value, place in spec.parts(section, key):
        what = identify(str(value))
        if what in seen:
            yield Problem("conflict", place[0], f"{message}: {what}", "remove one", place[1], section, key)
        seen.add(what)


def _check_users(spec: Spec) -> Iterator[Problem]:
    users = spec.text("Exec", "PrivateUsers", "pick")
    for section, key in (("Files", "BindUser"), ("Exec", "PrivateUsersDelegate")):
        setting = spec.find(section, key)
        if setting and users == "no":
            yield _conflict(
                setting, "needs user ids of the container's own", "remove [Exec] PrivateUsers=no"
            )
    delegate = spec.find("Exec", "PrivateUsersDelegate")
    if delegate and users not in ("managed", "no"):
        yield _conflict(delegate, "needs managed user ids", "set [Exec] PrivateUsers=managed")
    ownership = spec.find("Files", "PrivateUsersOwnership") or spec.find("Files", "PrivateUsersChown")
    fixed = spec.flag("Files", "ReadOnly", False) or spec.text("Files", "Volatile") in ("yes", "overlay")
    if ownership and ownership.values[-1] in ("chown", True) and fixed:
        hint = "write PrivateUsersOwnership=map"
        yield _conflict(ownership, "cannot change files under [Files] ReadOnly= or Volatile=", hint)


def _check_files(spec: Spec) -> Iterator[Problem]:
    for section, key, needed in _NEEDS:
        setting = spec.find(section, key)
        if setting and not spec.find(*needed):
            yield _conflict(
                setting, f"has no effect without [{needed[0]}] {needed[1]}=", "remove it or add that"
            )
    directory = spec.find("Container", "Directory")
    kept = not spec.flag("Exec", "Ephemeral", False) and spec.text("Files", "Volatile", "no") == "no"
    if directory and directory.values[-1] == "/" and kept:
        yield _conflict(directory, "the host's own root cannot be a container", "add [Exec] Ephemeral=yes")
    for key in ("Bind", "BindReadOnly", "TemporaryFileSystem", "Inaccessible"):
        for value, place in spec.parts("Files", key):
            target = find_target(key, str(value))
            if target == "/" or (target == "/run" and key == "TemporaryFileSystem"):
                message = f"hides what systemd-nspawn needs at {target}"
                yield Problem("conflict", place[0], message, "choose another place", place[1], "Files", key)


def _check_dependencies(spec: Spec) -> Iterator[Problem]:
    for key in DEPENDENCIES:
        setting = spec.find("Container", key)
        if setting and spec.name in spec.texts("Container", key):
            yield _conflict(setting, "names the container itself", f"remove {spec.name}")


def _check_install(spec: Spec) -> Iterator[Problem]:
    for key in ("WantedBy", "RequiredBy", "UpheldBy", "Alias"):
        for value, (path, line) in spec.parts("Install", key):
            for unit in split_blanks(str(value)):
                fault = _find_fault(key, unit, spec.name)
                if fault:
                    yield Problem("bad-value", path, *fault, line, "Install", key)


def _find_fault(key: str, unit: str, machine: str) -> tuple[str, str] | None:
    if not UNIT_NAME.fullmatch(unit):
        return f"{unit!r} is not the name of a unit", "write a name like multi-user.target"
    prefix = unit.removesuffix(f"@{machine}.service")
    if key == "Alias" and (prefix in (unit, "systemd-nspawn") or "@" in prefix):
        # systemd takes an alias of an instance only with the same instance string (tried on 247 to 262).
        return f"{unit!r} cannot stand for an instance", f"write PREFIX@{machine}.service"
    return None


def _conflict(setting: Setting, message: str, hint: str) -> Problem:
    path, line = setting.place
    return Problem("conflict", path, message, hint, line, setting.section, setting.key)


def _show(setting: Setting) -> str:
    path, line = setting.place
    return f"[{setting.section}] {setting.key}= of {path}:{line}"


_CHECKS: tuple[Callable[[Spec], Iterator[Problem]], ...] = (
    _check_exclusive,
    _check_command,
    _check_network,
    _check_users,
    _check_files,
    _check_dependencies,
    _check_install,
)
