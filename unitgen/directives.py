"""Values of native directives that systemd would log and ignore, and so start the container without them.

Only what limits, orders or places the service is checked; systemd.resource-control(5), systemd.exec(5),
systemd.unit(5). What is not in the table passes.
"""

import re
from collections.abc import Callable, Mapping

from unitgen.amounts import (
    SIZE_PATTERN,
    measure_size,
    parse_percent,
    parse_rlimit,
    parse_span,
)
from unitgen.errors import BadValue
from unitgen.interfaces import check_interface
from unitgen.model import Value
from unitgen.native_paths import (
    check_path,
    parse_bind_paths,
    parse_device,
    parse_device_limit,
    parse_device_weight,
    parse_path_line,
    parse_paths,
    split_unescaped,
)
from unitgen.values import (
    C_ESCAPE,
    choice,
    parse_boolean,
    parse_cpus,
    parse_number,
    parse_signal,
    refuse_open_backslash,
    split_blanks,
    split_words,
)

Check = Callable[[str], Value]

_UNIT_TYPES = "service|socket|device|mount|automount|swap|target|path|timer|slice|scope"
UNIT_NAME = re.compile(rf"[A-Za-z0-9:_.\\@-]{{1,200}}\.({_UNIT_TYPES})")
# A percent sign is only good as a specifier here: %% would put one into the name.
_UNIT_CHAR = r"(?:[A-Za-z0-9:_.\\-]|%[A-Za-z])"
# The other types have no instances.
_INSTANCE = rf"@({_UNIT_CHAR}|@)*\.(service|socket|target|path|timer)"
_UNIT_PATTERN = re.compile(rf"(?=.{{1,250}}\Z){_UNIT_CHAR}+(\.({_UNIT_TYPES})|{_INSTANCE})")
_SLICE = re.compile(r"-\.slice|X+(-X+)*\.slice".replace("X", _UNIT_CHAR.replace("-]", "]")))
_PERCENTAGE = r"(100(\.0{1,2})?|[0-9]{1,2}(\.[0-9]{1,2})?)%"
_BIND = re.compile(
    r"(any|(ipv[46])?|((ipv[46]):)?((tcp|udp):)?([1-9][0-9]{0,4})(-([1-9][0-9]{0,4}))?|((ipv[46]):)?(tcp|udp))"
)
_ESCAPES = dict(zip("abfnrtvs\\\"'", "\a\b\f\n\r\t\v \\\"'", strict=True))
# systemd-analyze exit-status, 252 to 262.
_STATUSES = frozenset(
    """SUCCESS FAILURE INVALIDARGUMENT NOTIMPLEMENTED NOPERMISSION NOTINSTALLED NOTCONFIGURED NOTRUNNING
    USAGE DATAERR NOINPUT NOUSER NOHOST UNAVAILABLE SOFTWARE OSERR OSFILE CANTCREAT IOERR TEMPFAIL
    PROTOCOL NOPERM CONFIG CHDIR NICE FDS EXEC MEMORY LIMITS OOM_ADJUST SIGNAL_MASK STDIN STDOUT
    CHROOT IOPRIO TIMERSLACK SECUREBITS SETSCHEDULER CPUAFFINITY GROUP USER CAPABILITIES CGROUP SETSID
    CONFIRM STDERR PAM NETWORK NAMESPACE NO_NEW_PRIVILEGES SECCOMP SELINUX_CONTEXT PERSONALITY
    APPARMOR ADDRESS_FAMILIES RUNTIME_DIRECTORY CHOWN SMACK_PROCESS_LABEL KEYRING STATE_DIRECTORY
    CACHE_DIRECTORY LOGS_DIRECTORY CONFIGURATION_DIRECTORY NUMA_POLICY CREDENTIALS BPF KSM MEMORY_THP
    EXCEPTION""".split()
)
_CONTROLLERS = frozenset(
    "cpu cpuacct cpuset io blkio memory devices pids bpf-firewall bpf-devices bpf-foreign "
    "bpf-socket-bind bpf-restrict-network-interfaces".split()
)


def _parse_limit(text: str) -> str:
    if text == "infinity":
        return text
    if not re.fullmatch(_PERCENTAGE, text):
        if not SIZE_PATTERN.fullmatch(text):
            hint = "write bytes, a number with K, M, G or T, a percentage, or infinity"
            raise BadValue(f"{text!r} is not a limit", hint)
        measure_size(text)
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
    for word in split_blanks(text):
        if not _UNIT_PATTERN.fullmatch(word):
            hint = f"write {word}.service or so; [Container] takes bare names of containers"
            raise BadValue(f"{word!r} is not the name of a unit", hint)
    return text


def _parse_sockets(text: str) -> str:
    _parse_units(text)
    for word in split_blanks(text):
        if not word.endswith(".socket"):
            raise BadValue(f"{word!r} is not a socket", "write names like web.socket")
    return text


def _parse_addresses(text: str) -> str:
    # Costs milliseconds at boot, and few specs have such a directive.
    from ipaddress import ip_network  # noqa: PLC0415

    for word in split_blanks(text):
        if word in ("any", "localhost", "link-local", "multicast"):
            continue
        try:
            if not re.fullmatch("[^/%]+(/(0|[1-9][0-9]{0,2}))?", word):
                raise ValueError(word)
            ip_network(word, strict=False)
        except ValueError:
            hint = "write like 10.0.0.0/8, fd00::/8, any, localhost, link-local or multicast"
            raise BadValue(f"{word!r} is not a network", hint) from None
    return text


def _parse_binds(text: str) -> str:
    words = re.findall("[0-9]{2,}|[1-9]", re.sub("ipv[46]", "", text))
    # Python itself refuses to read a number of more than 4300 digits.
    ports = [int(word) if len(word) < 9 else 65536 for word in words]
    if not _BIND.fullmatch(text) or ports != sorted(ports) or max(ports, default=1) > 65535:
        raise BadValue(f"{text!r} is not a port to bind", "write like tcp:80, ipv4:udp:5000-6000 or any")
    return text


def _parse_mode(text: str) -> str:
    if not re.fullmatch("[0-7]{1,4}", text):
        raise BadValue(f"{text!r} is not a mode", "write it in octal, as 0022")
    return text


def _parse_controllers(text: str) -> str:
    for word in split_blanks(text):
        if word not in _CONTROLLERS:
            raise BadValue(f"{word!r} is not a controller", f"write {', '.join(sorted(_CONTROLLERS))}")
    return text


def _parse_interfaces(text: str) -> str:
    for word in split_blanks(text):
        check_interface(word.removeprefix("~"))
        if re.fullmatch("~?0([xX][0-9a-fA-F]+|[bB][01]+|[oO][0-7]+)", word):
            raise BadValue(f"{word!r} is the number of an interface", "write its name")
    return text


def _unescape(word: str) -> str:
    """C escapes resolved; what is none stays."""
    return C_ESCAPE.sub(lambda match: _ESCAPES.get(match[1]) or _read_number(match[1]), word)


def _read_number(digits: str) -> str:
    return chr(int(digits[1:], 16) if digits[0] in "xuU" else int(digits, 8))


def _parse_command(text: str) -> str:
    refuse_open_backslash(text, "command")
    words = [_unescape(word) for word in split_words(text, escapes=True)]
    prefix, program = _split_program(words[0] if words else "")
    if not program or "\0" in "".join(words) or re.search(r"[\0-\x1f\x7f'\"\\]", program):
        raise BadValue(f"{text!r} names no program", "write its path, without quotes or backslashes in it")
    if "/" in program:
        check_path(program, program, "begin it with /")
    if program in (".", ".."):
        raise BadValue(f"{program!r} is not a program", "write its path")
    if "@" in prefix and len(words) < 2:
        raise BadValue(f"{text!r} gives no name after the program", "write the name, or leave out the @")
    return text


def _split_program(word: str) -> tuple[str, str]:
    prefix = word[: len(word) - len(word.lstrip("-@:+!|"))]
    if any(prefix.count(sign) > 1 for sign in "-@:+|") or prefix.count("!") > 2 or {"+", "!"} <= {*prefix}:
        raise BadValue(f"{prefix!r} cannot stand before a program", "write each sign once, and no ! with +")
    return prefix, word[len(prefix) :]


def _split_environment(text: str) -> list[str]:
    if "\\" in C_ESCAPE.sub("", text):
        raise BadValue("a backslash begins no C escape", r"write \\ for a backslash")
    words = [_unescape(word) for word in split_words(text, escapes=True)]
    if "\0" in "".join(words):
        raise BadValue("no variable can hold a NUL", r"leave out \x00")
    return words


def _parse_environment(text: str) -> str:
    for word in _split_environment(text):
        name, equals, _ = word.partition("=")
        if not equals:
            hint = "write NAME=VALUE, and quote it whole if it has blanks"
            raise BadValue(f"{word!r} sets no variable", hint)
        _check_variable(name)
    return text


def _check_variable(name: str) -> None:
    if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", re.sub("%[A-Za-z]", "", name)):
        raise BadValue(f"{name!r} is not the name of a variable", "use letters, digits and _")


def _parse_variables(text: str) -> str:
    for word in split_unescaped(text):
        _check_variable(word)
    return text


def _parse_unset(text: str) -> str:
    """Names, and NAME=VALUE for what is unset only with that value."""
    for word in _split_environment(text):
        _check_variable(word.partition("=")[0])
    return text


def _parse_capital_signal(text: str) -> str:
    parse_signal(text)
    if not re.fullmatch("[A-Z0-9+-]+", text):
        raise BadValue(f"{text!r} is not a signal", f"write {text.upper()}")
    return text


def _parse_cpu_quota(text: str) -> str:
    if len(text) > 8:
        raise BadValue(f"{text!r} is too large", "write like 150%")
    return parse_percent(text)


def _parse_pressure(text: str) -> str:
    if not re.fullmatch(_PERCENTAGE, text):
        raise BadValue(f"{text!r} is not a percentage up to 100%", "write like 60%")
    return parse_percent(text)


def _is_status(word: str) -> bool:
    """0 to 255, as safe_atou8() reads numbers: 0x and the like, and octal after a 0."""
    try:
        number = int(re.sub("^([+-]?)0+(?=[0-7])", r"\g<1>0o", word), 0)
    except ValueError:
        return False
    return bool(re.fullmatch("[A-Za-z0-9+-]+", word)) and 0 <= number < 256


def _parse_statuses(text: str) -> str:
    # Quotes mean nothing here, and a backslash as good as nothing.
    for word in split_blanks(re.sub(r"\\(.)", r"\1", text)):
        if word in _STATUSES or _is_status(word):
            continue
        try:
            _parse_capital_signal(word)
        except BadValue:
            hint = "write 0 to 255, a name of one like TEMPFAIL, or a signal"
            raise BadValue(f"{word!r} is not an exit status", hint) from None
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
    **_spread("KillSignal FinalKillSignal RestartKillSignal WatchdogSignal", _parse_capital_signal),
    **_spread("ManagedOOMSwap ManagedOOMMemoryPressure", choice("auto", "kill")),
    **_spread("CPUAffinity NUMAMask", parse_cpus),
    **_spread("IOSchedulingClass", choice("0", "1", "2", "3", "none", "realtime", "best-effort", "idle")),
    "PrivateTmp": choice("disconnected", boolean=True),
    "ProtectHostname": choice("private", boolean=True),
    "ManagedOOMMemoryPressureLimit": _parse_pressure,
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

NEWER: Mapping[str, Mapping[str, int]] = {
    "CPUSchedulingPolicy": {"ext": 258},
    "PrivateTmp": {"disconnected": 257},
    "ProtectHostname": {"private": 258},
}
"""Values that need a later systemd than their directive, which an older one would ignore."""

LISTS: Mapping[str, Check] = {
    **_spread(
        """After Before Wants Requires Requisite BindsTo PartOf Conflicts Upholds OnFailure OnSuccess
        PropagatesReloadTo PropagatesStopTo ReloadPropagatedFrom StopPropagatedFrom JoinsNamespaceOf""",
        _parse_units,
    ),
    **_spread(
        "InaccessiblePaths ReadOnlyPaths ReadWritePaths NoExecPaths ExecPaths",
        parse_paths("-?[+]?"),
    ),
    **_spread("RequiresMountsFor WantsMountsFor", parse_paths("")),
    **_spread("BindPaths BindReadOnlyPaths", parse_bind_paths),
    "TemporaryFileSystem": parse_paths("", fields=True),
    "EnvironmentFile": parse_path_line("-?", "begin it with /, or with - and then /, without quotes"),
    **_spread(
        """ConditionPathExists ConditionPathExistsGlob ConditionPathIsDirectory ConditionPathIsSymbolicLink
        ConditionPathIsMountPoint ConditionPathIsReadWrite ConditionDirectoryNotEmpty ConditionFileNotEmpty
        ConditionFileIsExecutable AssertPathExists AssertPathExistsGlob AssertPathIsDirectory
        AssertPathIsSymbolicLink AssertPathIsMountPoint AssertPathIsReadWrite AssertDirectoryNotEmpty
        AssertFileNotEmpty AssertFileIsExecutable""",
        parse_path_line("[|]?!?", "begin it with /, or with ! or | and then /"),
    ),
    **_spread("IPIngressFilterPath IPEgressFilterPath", parse_path_line("", "begin it with /")),
    **_spread("IPAddressAllow IPAddressDeny", _parse_addresses),
    **_spread(
        "IOReadBandwidthMax IOWriteBandwidthMax IOReadIOPSMax IOWriteIOPSMax",
        parse_device_limit,
    ),
    **_spread("SuccessExitStatus RestartPreventExitStatus RestartForceExitStatus", _parse_statuses),
    **_spread("SocketBindAllow SocketBindDeny", _parse_binds),
    **_spread("ExecStartPre ExecStartPost ExecStop ExecStopPost ExecReload ExecCondition", _parse_command),
    **_spread(
        "LimitFSIZE LimitDATA LimitSTACK LimitCORE LimitRSS LimitAS LimitMEMLOCK", parse_rlimit("size")
    ),
    **_spread("LimitNOFILE LimitNPROC LimitLOCKS LimitSIGPENDING LimitRTPRIO", parse_rlimit("number")),
    "LimitCPU": parse_rlimit("time in seconds"),
    "LimitRTTIME": parse_rlimit("time in microseconds"),
    "PassEnvironment": _parse_variables,
    "UnsetEnvironment": _parse_unset,
    "IODeviceWeight": parse_device_weight,
    "Sockets": _parse_sockets,
    "LimitNICE": parse_rlimit("nice level"),
    "LimitMSGQUEUE": parse_rlimit("size"),
    "DeviceAllow": parse_device,
    "DisableControllers": _parse_controllers,
    "RestrictNetworkInterfaces": _parse_interfaces,
    "Environment": _parse_environment,
}
"""Directives that may stand several times."""
