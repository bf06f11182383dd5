"""A spec to the files that make it a service: which templates, with which holes filled how."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from unitgen import escape
from unitgen.errors import Problem
from unitgen.escape import Text
from unitgen.fleet import Place
from unitgen.keys import DEPENDENCIES, IMAGES
from unitgen.model import File, Host, Spec
from unitgen.mounts import MOUNTS_OF_HOST, list_sources, read_bind
from unitgen.network import find_owner
from unitgen.network_unit import (
    name_bridge_unit,
    name_network_unit,
    needs_network_unit,
    plan_bridge,
    plan_network,
)
from unitgen.nspawn import RUNTIME_FOLDER, boots, build_command, plan_stop
from unitgen.values import parse_path, split_blanks
from unitgen.versions import is_supported

_DEFAULT_TARGET = "machines.target"

# Folders of device nodes to the group that DeviceAllow= takes in place of a path (/proc/devices).
_DEVICE_GROUPS = {
    "/dev/dri": "char-drm",
    "/dev/snd": "char-alsa",
    "/dev/input": "char-input",
    "/dev/bus/usb": "char-usb_device",
    "/dev/pts": "char-pts",
    "/dev/mapper": "block-device-mapper",
}
_NO_DEVICES = ("/dev/shm", "/dev/mqueue", "/dev/hugepages", "/dev/log")
_MOST_MESSAGES = 20


class Line(NamedTuple):
    """`key=value` of a unit."""

    key: str
    value: Text


class Rendering(NamedTuple):
    """A file to be made from a template."""

    path: str
    template: str
    holes: Mapping[str, object]


class Plan(NamedTuple):
    """All files of one container."""

    renderings: tuple[Rendering, ...]
    links: tuple[File, ...]


def name_unit(machine: str) -> str:
    """The service of a machine: what machinectl(1) starts, so its name is not escaped."""
    return f"systemd-nspawn@{machine}.service"


def plan_container(spec: Spec, host: Host, place: Place) -> Plan:
    """Everything that a sound spec becomes."""
    native = _pass_native(spec, host)
    unit = name_unit(spec.name)
    holes: dict[str, object] = {
        "machine": escape.plain(spec.name),
        "source": escape.raw_path(spec.path),
        "files": tuple(map(escape.comment, spec.files)),
        "description": _describe(spec),
        "unit_lines": (
            *_list_dependencies(spec),
            *_need_network(spec),
            *_list_mounts(spec),
            *native["Unit"],
        ),
        "command": escape.quote_command(build_command(spec, host)),
        "service_lines": (*_adapt_service(spec, host), *native["Service"], *_allow_devices(spec)),
        "stop": plan_stop(spec),
        "systemd": host.systemd,
    }
    renderings = [Rendering(f"{unit}.d/10-unitgen-override.conf", "override.conf", holes)]
    if spec.text("Container", "Unit") == "full":
        renderings.insert(0, Rendering(unit, "nspawn.service", holes))
    return Plan((*renderings, *_plan_units(spec, host, place)), plan_links(spec, host))


def _plan_units(spec: Spec, host: Host, place: Place) -> Iterator[Rendering]:
    """The drop-ins of the units that stand beside the container's."""
    holes = {"machine": escape.plain(spec.name), "source": escape.raw_path(spec.path)}
    if needs_network_unit(spec):
        setup = plan_network(spec, host, place)
        path = f"{name_network_unit(spec.name)}.d/10-unitgen.conf"
        yield Rendering(path, "network.conf", {**holes, "setup": setup})
    if spec.find("Network", "BridgeAddress"):
        path = f"{name_bridge_unit(spec)}.d/10-unitgen-{spec.name}.conf"
        yield Rendering(path, "network.conf", {**holes, "setup": plan_bridge(spec)})


def plan_stub(spec: Spec, host: Host, problems: Iterable[Problem]) -> tuple[Plan, Plan]:
    """A service in place of a broken spec's, which fails to start and says why; and what says so beside the
    service that there was before the spec broke.
    """
    messages = [problem.format() for problem in problems if problem.is_error][:_MOST_MESSAGES]
    script = 'printf "%s\\n" "$@" >&2; exit 78'
    holes: dict[str, object] = {
        "machine": escape.plain(spec.name),
        "source": escape.raw_path(spec.path),
        "first": escape.free_text(messages[0]),
        "command": escape.quote_line(["/bin/sh", "-c", script, "unitgen", *messages]),
    }
    unit = name_unit(spec.name)
    stub = Rendering(unit, "stub.service", holes)
    notice = Rendering(f"{unit}.d/11-unitgen-broken.conf", "broken.conf", holes)
    # Nothing that names other units: what it says may be what is broken.
    settings = {
        key: setting
        for key, setting in spec.settings.items()
        if key[0] != "Install" and key != ("Network", "Share")
    }
    return Plan((stub, _release(spec.name)), plan_links(spec._replace(settings=settings), host)), Plan(
        (notice,), ()
    )


def plan_mask(machine: str) -> tuple[File, ...]:
    """The last resort: the container cannot start, not even with the vendor's defaults."""
    return (File(name_unit(machine), target="/dev/null"),)


def plan_release(machine: str) -> Plan:
    """For a container whose spec is masked: it is as if it had none, and may be started so."""
    return Plan((_release(machine),), ())


def _release(machine: str) -> Rendering:
    return Rendering(f"{name_unit(machine)}.d/10-unitgen-release.conf", "release.conf", {})


def plan_shared(files: Iterable[File]) -> tuple[File, ...]:
    """What containers share: machines.target, which some distributions install without enabling it, and what
    saves this run for the next boot.
    """
    paths = [file.path for file in files]
    wanted = [_DEFAULT_TARGET] if any(path.startswith(f"{_DEFAULT_TARGET}.") for path in paths) else []
    wanted += ["unitgen-keep.path"] if paths else []
    return tuple(
        File(f"multi-user.target.wants/{unit}", target=f"/usr/lib/systemd/system/{unit}") for unit in wanted
    )


def plan_links(spec: Spec, host: Host) -> tuple[File, ...]:
    """Links that start the container at boot; none with Autostart=no."""
    if not spec.flag("Container", "Autostart", True):
        return ()
    unit = name_unit(spec.name)
    wanted = [
        (target, kind)
        for key, kind in (("WantedBy", "wants"), ("RequiredBy", "requires"), ("UpheldBy", "upholds"))
        for target in _list_words(spec, key, host)
    ] or [(_DEFAULT_TARGET, "wants")]
    owner = spec.text("Network", "Share")
    if owner:
        # It goes with the owner of its network, also when that crashes, and so it has to come back with it.
        wanted.append((name_unit(owner), "wants"))
    links = [File(f"{target}.{kind}/{unit}", target=f"../{unit}") for target, kind in wanted]
    return (*links, *(File(alias, target=unit) for alias in _list_words(spec, "Alias", host)))


def _list_words(spec: Spec, key: str, host: Host) -> tuple[str, ...]:
    """Each once: a word may stand there several times."""
    setting = spec.find("Install", key)
    if not setting or not is_supported(setting, host):
        return ()
    return tuple(dict.fromkeys(word for value in setting.values for word in split_blanks(str(value))))


def _describe(spec: Spec) -> Text:
    return escape.free_text(spec.text("Container", "Description") or f"Container {spec.name}")


def _list_dependencies(spec: Spec) -> Iterator[Line]:
    for key in DEPENDENCIES:
        units = [name_unit(machine) for machine in spec.texts("Container", key)]
        if units:
            yield Line(key, Text(" ".join(units)))


def list_host_paths(spec: Spec) -> tuple[str, ...]:
    """Paths of the host that the container's image and mounts are at."""
    places = [spec.text("Container", key) for key in (*IMAGES, "Template")]
    for key in MOUNTS_OF_HOST:
        for value in spec.texts("Files", key):
            places += list_sources(key, value)
    return tuple(dict.fromkeys(filter(None, places)))


def _need_network(spec: Spec) -> Iterator[Line]:
    """What makes the network is there first, and is made anew when the container starts again.

    The network unit is wanted by packaging/units/systemd-nspawn@.service.d. It is not required here: that
    would send its restart, which comes with each automatic one of the container, back to the container,
    and systemd would forget how often it was restarted.
    """
    units = [name_network_unit(spec.name)] if needs_network_unit(spec) else []
    if spec.find("Network", "BridgeAddress"):
        units.append(name_bridge_unit(spec))
        yield Line("Wants", escape.plain(name_bridge_unit(spec)))
    if units:
        yield Line("StopPropagatedFrom", escape.plain_words(units))
    if needs_network_unit(spec):
        yield Line("AssertPathExists", escape.plain(f"{RUNTIME_FOLDER}/ready/{spec.name}"))
    shared = spec.text("Network", "Share")
    if shared:
        # In the life of its owner, who may go and take the namespace along, or get a new one.
        yield Line("BindsTo", escape.plain(name_unit(shared)))
        yield Line("AssertPathExists", escape.plain(f"{RUNTIME_FOLDER}/ready/{shared}"))
        units = [name_unit(shared), name_network_unit(shared)]
    owner = find_owner(spec)
    if owner:
        units.append("unitgen-dns.service")
    if units:
        yield Line("After", escape.plain_words(units))


def _list_mounts(spec: Spec) -> Iterator[Line]:
    for path in list_host_paths(spec):
        if path.split("/")[1] not in ("", "dev", "proc", "sys"):
            yield Line("RequiresMountsFor", escape.quote_path(path))


def _allow_devices(spec: Spec) -> Iterator[Line]:
    # The template has DevicePolicy=closed: without this a bound node is there and cannot be opened.
    binds = [
        (read_bind(value).source, access)
        for key, access in (("Bind", "rwm"), ("BindReadOnly", "r"))
        for value in spec.texts("Files", key)
    ]
    image = spec.text("Container", "Image")
    for path, access in [*binds, (image, "rwm")]:
        path = parse_path(path) if path.startswith("/") else ""
        if path.startswith("/dev/") and not any(
            f"{path}/".startswith(f"{folder}/") for folder in _NO_DEVICES
        ):
            yield Line(
                "DeviceAllow", Text(f"{_DEVICE_GROUPS.get(path) or escape.quote_path(path)} {access}")
            )


def _adapt_service(spec: Spec, host: Host) -> Iterator[Line]:
    if host.systemd < 258:
        # A guest, and the stub init of ProcessTwo=, give their own processes 90 s to stop. With the same
        # time here the stop of a slow one ends as a failure, so 258 raised it in the vendor's template.
        yield Line("TimeoutSec", Text("2min"))
    if find_owner(spec):
        # The journal has the name of the program that was started first, which is nsenter.
        yield Line("SyslogIdentifier", Text("systemd-nspawn"))
    score = spec.text("Exec", "OOMScoreAdjust")
    if score:
        # Inherited by the payload. --oom-score-adjust= fails with user ids of the container's own: the
        # process that is to set it may not write to its own /proc any more (tried on 252).
        yield Line("OOMScoreAdjust", escape.plain(score))
    if not boots(spec):
        # 143: the command ended because of the SIGTERM that stops it, and says so as a shell would.
        yield Line("SuccessExitStatus", Text("143"))


def _pass_native(spec: Spec, host: Host) -> dict[str, list[Line]]:
    """[Unit] and [Service] as they are, without what the installed systemd does not know."""
    lines: dict[str, list[Line]] = {"Unit": [], "Service": []}
    for (section, name), setting in spec.settings.items():
        if section in lines and is_supported(setting, host):
            lines[section] += [Line(name, escape.native(str(value))) for value in setting.values]
    return lines
