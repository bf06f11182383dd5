"""Values of native directives that systemd would log and ignore, and so start the container without them.

Only what limits, orders or places the service is checked; systemd.resource-control(5), systemd.exec(5),
systemd.unit(5). What is not in the table passes.
"""

import re
from collections.abc import Callable, Mapping

from unitgen.errors import BadValue
from unitgen.interfaces import check_interface
from unitgen.model import Value
from unitgen.values import (
    C_ESCAPE,
    SIZE_FACTORS,
    SIZE_PATTERN,
    choice,
    parse_boolean,
    parse_cpus,
    parse_number,
    parse_percent,
    parse_rlimit,
    parse_signal,
    parse_span,
    split_words,
)

Check = Callable[[str], Value]

_UNIT_TYPES = "service|socket|device|mount|automount|swap|target|path|timer|slice|scope"
UNIT_NAME = re.compile(rf"[A-Za-z0-9:_.\\@-]{{1,200}}\.({_UNIT_TYPES})")
_UNIT_PATTERN = re.compile(rf"[A-Za-z0-9:_.\\@%-]{{1,240}}\.({_UNIT_TYPES})")
_SLICE = re.compile(r"-\.slice|[A-Za-z0-9:_.\\%]+(-[A-Za-z0-9:_.\\%]+)*\.slice")
_PERCENTAGE = r"(100(\.0{1,2})?|[0-9]{1,2}(\.[0-9]{1,2})?)%"
_BIND = re.compile(
    r"(any|(ipv[46])?|((ipv[46]):)?((tcp|udp):)?([1-9][0-9]{0,4})(-([1-9][0-9]{0,4}))?|((ipv[46]):)?(tcp|udp))"
)
_CONTROLLERS = frozenset(
    "cpu cpuacct cpuset io blkio memory devices pids bpf-firewall bpf-devices bpf-foreign "
    "bpf-socket-bind bpf-restrict-network-interfaces".split()
)


def _parse_limit(text: str) -> str:
    if text == "infinity":
        return text
    if not re.fullmatch(_PERCENTAGE, text) and not SIZE_PATTERN.fullmatch(text):
        hint = "write bytes, a number with K, M, G or T, a percentage, or infinity"
        raise BadValue(f"{text!r} is not a limit", hint)
    number = re.match(r"[0-9.]+", text)
    if not text.endswith("%") and number and float(number[0]) * SIZE_FACTORS.get(text[-1], 1) >= 2**64 - 1:
        raise BadValue(f"{text!r} is more than a number of 64 bits", "write infinity")
    if not re.search("[1-9]", text):
        raise BadValue(f"{text!r} is a limit that nothing fits into", "write more than 0")
    return text


def _parse_protection(text: str) -> str:
    return text if re.fullmatch("0[%KMGTPEB]?", text) else _parse_limit(text)


def _parse_tasks(text: str) -> str:
    if text == "infinity" or re.fullmatch(rf"[1-9][0-9]{{0,17}}|{_PERCENTAGE}", text):
        return text
    raise BadValue(f"{text!r} is not a number of tasks", "write a number, a percentage, or infinity")


def _parse_weight(text: str) -> str:
    return text if text == "idle" else parse_number(1, 10000)(text)


def _parse_slice(text: str) -> str:
    if not _SLICE.fullmatch(text):
        raise BadValue(f"{text!r} is not the name of a slice", "write a name like machine-web.slice")
    return text


def _parse_units(text: str) -> str:
    for word in text.split():
        if not _UNIT_PATTERN.fullmatch(word):
            hint = f"write {word}.service or so; [Container] takes bare names of containers"
            raise BadValue(f"{word!r} is not the name of a unit", hint)
    return text


def _parse_paths(text: str) -> str:
    for word in split_words(text, escapes=True):
        path = word.split(":")[0]
        if not re.fullmatch("-?[+]?[/%].*", path) or ".." in path.split("/"):
            raise BadValue(f"{word!r} is not an absolute path", "begin it with /, and leave out ..")
    return text


def _parse_condition_path(text: str) -> str:
    if not re.fullmatch(r"[|]?!?[/%].*", text) or ".." in text.split("/"):
        raise BadValue(f"{text!r} is not an absolute path", "begin it with /, or with ! or | and then /")
    return text


def _parse_addresses(text: str) -> str:
    # Costs milliseconds at boot, and few specs have such a directive.
    from ipaddress import ip_network  # noqa: PLC0415

    for word in text.split():
        if word in ("any", "localhost", "link-local", "multicast"):
            continue
        try:
            if not re.fullmatch("[^/]+(/(0|[1-9][0-9]{0,2}))?", word):
                raise ValueError(word)
            ip_network(word, strict=False)
        except ValueError:
            hint = "write like 10.0.0.0/8, fd00::/8, any, localhost, link-local or multicast"
            raise BadValue(f"{word!r} is not a network", hint) from None
    return text


def _parse_device_limit(text: str) -> str:
    words = split_words(text, escapes=True)
    if len(words) != 2 or not words[0].startswith(("/", "%")):
        raise BadValue(f"{text!r} does not name a device and a limit", "write like /dev/sda 10M")
    if words[1] != "infinity" and (not re.search("[1-9]", words[1]) or not SIZE_PATTERN.fullmatch(words[1])):
        raise BadValue(f"{words[1]!r} is not a limit", "write a number, with K, M, G or T if it is long")
    return text


def _parse_device(text: str) -> str:
    node, _, access = text.rpartition(" ") if re.search(r" [rwm]{1,3}$", text) else (text, "", "")
    if access.strip("rwm") or not re.fullmatch(r'"?[/%].*|(char|block)-[A-Za-z0-9_./*?%-]+', node.strip()):
        hint = "write like /dev/kvm rw, or char-drm rw for a group of /proc/devices"
        raise BadValue(f"{text!r} does not name devices", hint)
    return text


def _parse_binds(text: str) -> str:
    ports = [int(port) for port in re.findall("[0-9]{2,}|[1-9]", re.sub("ipv[46]", "", text))]
    if not _BIND.fullmatch(text) or ports != sorted(ports) or max(ports, default=1) > 65535:
        raise BadValue(f"{text!r} is not a port to bind", "write like tcp:80, ipv4:udp:5000-6000 or any")
    return text


def _parse_mode(text: str) -> str:
    if not re.fullmatch("[0-7]{1,4}", text):
        raise BadValue(f"{text!r} is not a mode", "write it in octal, as 0022")
    return text


def _parse_controllers(text: str) -> str:
    for word in text.split():
        if word not in _CONTROLLERS:
            raise BadValue(f"{word!r} is not a controller", f"write {', '.join(sorted(_CONTROLLERS))}")
    return text


def _parse_interfaces(text: str) -> str:
    for word in text.split():
        check_interface(word.removeprefix("~"))
    return text


def _parse_command(text: str) -> str:
    words = split_words(text, escapes=True)
    program = words[0].lstrip("-@:+!|") if words else ""
    if "/" in program and not program.startswith(("/", "%")):
        raise BadValue(f"{program!r} is not an absolute path", "begin it with /")
    return text


def _parse_environment(text: str) -> str:
    if "\\" in C_ESCAPE.sub("", text):
        raise BadValue("a backslash begins no C escape", r"write \\ for a backslash")
    split_words(text, escapes=True)
    return text


def _parse_cpu_quota(text: str) -> str:
    if len(text) > 8:
        raise BadValue(f"{text!r} is too large", "write like 150%")
    return parse_percent(text)


def _parse_statuses(text: str) -> str:
    for word in text.split():
        if re.fullmatch("[0-9]+", word) and int(word[:4]) > 255:
            raise BadValue(f"{word!r} is not an exit status", "write 0 to 255, a name of one, or a signal")
    return text


def _parse_quoted(text: str) -> str:
    split_words(text, escapes=True)
    return text


def _spread(names: str, check: Check) -> dict[str, Check]:
    return dict.fromkeys(names.split(), check)


SINGLE: Mapping[str, Check] = {
    **_spread(
        """MemoryHigh MemoryMax StartupMemoryHigh StartupMemoryMax""",
        _parse_limit,
    ),
    **_spread(
        """MemoryMin MemoryLow MemorySwapMax MemoryZSwapMax StartupMemoryLow StartupMemorySwapMax
        StartupMemoryZSwapMax""",
        _parse_protection,
    ),
    **_spread("IOWeight StartupIOWeight", parse_number(1, 10000)),
    **_spread("CPUWeight StartupCPUWeight", _parse_weight),
    **_spread("AllowedCPUs StartupAllowedCPUs AllowedMemoryNodes StartupAllowedMemoryNodes", parse_cpus),
    **_spread(
        """TimeoutStopSec TimeoutStartSec TimeoutSec TimeoutAbortSec RestartSec RuntimeMaxSec WatchdogSec
        CPUQuotaPeriodSec StartLimitIntervalSec JobTimeoutSec JobRunningTimeoutSec RestartMaxDelaySec""",
        parse_span,
    ),
    **_spread(
        """DefaultDependencies StopWhenUnneeded RefuseManualStart RefuseManualStop LockPersonality
        MemoryDenyWriteExecute ProtectClock ProtectKernelLogs ProtectKernelModules
        RestrictRealtime RestrictSUIDSGID SendSIGKILL SendSIGHUP IPAccounting IOAccounting""",
        parse_boolean,
    ),
    **_spread("KillSignal FinalKillSignal RestartKillSignal WatchdogSignal", parse_signal),
    **_spread("ManagedOOMSwap ManagedOOMMemoryPressure", choice("auto", "kill")),
    **_spread("CPUAffinity NUMAMask", parse_cpus),
    **_spread("IOSchedulingClass", choice("0", "1", "2", "3", "none", "realtime", "best-effort", "idle")),
    "PrivateTmp": choice("disconnected", boolean=True),
    "ProtectHostname": choice("private", boolean=True),
    "ManagedOOMMemoryPressureLimit": parse_percent,
    "CPUSchedulingPolicy": choice("other", "batch", "idle", "fifo", "rr", "ext"),
    "CollectMode": choice("inactive", "inactive-or-failed"),
    "TasksMax": _parse_tasks,
    "CPUQuota": _parse_cpu_quota,
    "Slice": _parse_slice,
    "DevicePolicy": choice("auto", "closed", "strict"),
    "KillMode": choice("mixed", "control-group"),
    "Restart": choice("no", "always", "on-success", "on-failure", "on-abnormal", "on-abort", "on-watchdog"),
    "Nice": parse_number(-20, 19),
    "OOMScoreAdjust": parse_number(-1000, 1000),
    "OOMPolicy": choice("continue", "stop", "kill"),
    "ManagedOOMPreference": choice("none", "avoid", "omit"),
    "KeyringMode": choice("inherit", "private", "shared"),
    "ProtectHome": choice("read-only", "tmpfs", boolean=True),
    "StartLimitBurst": parse_number(0, 2**32 - 1),
    "RestartSteps": parse_number(0, 2**32 - 1),
    "UMask": _parse_mode,
}
"""Directives of which a later value replaces an earlier one."""

LISTS: Mapping[str, Check] = {
    **_spread(
        """After Before Wants Requires Requisite BindsTo PartOf Conflicts Upholds OnFailure OnSuccess Sockets
        PropagatesReloadTo PropagatesStopTo ReloadPropagatedFrom StopPropagatedFrom JoinsNamespaceOf""",
        _parse_units,
    ),
    **_spread(
        """InaccessiblePaths ReadOnlyPaths ReadWritePaths NoExecPaths ExecPaths RequiresMountsFor
        WantsMountsFor TemporaryFileSystem BindPaths BindReadOnlyPaths EnvironmentFile""",
        _parse_paths,
    ),
    **_spread(
        """ConditionPathExists ConditionPathExistsGlob ConditionPathIsDirectory ConditionPathIsSymbolicLink
        ConditionPathIsMountPoint ConditionPathIsReadWrite ConditionDirectoryNotEmpty ConditionFileNotEmpty
        ConditionFileIsExecutable AssertPathExists AssertPathExistsGlob AssertPathIsDirectory
        AssertPathIsSymbolicLink AssertPathIsMountPoint AssertPathIsReadWrite AssertDirectoryNotEmpty
        AssertFileNotEmpty AssertFileIsExecutable IPIngressFilterPath IPEgressFilterPath""",
        _parse_condition_path,
    ),
    **_spread("IPAddressAllow IPAddressDeny", _parse_addresses),
    **_spread(
        "IOReadBandwidthMax IOWriteBandwidthMax IOReadIOPSMax IOWriteIOPSMax IODeviceWeight",
        _parse_device_limit,
    ),
    **_spread("SuccessExitStatus RestartPreventExitStatus RestartForceExitStatus", _parse_statuses),
    **_spread("SocketBindAllow SocketBindDeny", _parse_binds),
    **_spread("ExecStartPre ExecStartPost ExecStop ExecStopPost ExecReload ExecCondition", _parse_command),
    **_spread(
        "LimitFSIZE LimitDATA LimitSTACK LimitCORE LimitRSS LimitAS LimitMEMLOCK", parse_rlimit("size")
    ),
    **_spread("LimitNOFILE LimitNPROC LimitLOCKS LimitSIGPENDING LimitRTPRIO", parse_rlimit("number")),
    **_spread("LimitCPU LimitRTTIME", parse_rlimit("time")),
    **_spread("PassEnvironment UnsetEnvironment", _parse_quoted),
    "LimitNICE": parse_rlimit("nice level"),
    "LimitMSGQUEUE": parse_rlimit("size"),
    "DeviceAllow": _parse_device,
    "DisableControllers": _parse_controllers,
    "RestrictNetworkInterfaces": _parse_interfaces,
    "Environment": _parse_environment,
}
"""Directives that may stand several times."""
