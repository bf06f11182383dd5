"""Native systemd directives, which [Unit], [Service] and [Install] of a spec pass through.

systemd ignores a directive or a value that it does not understand and starts the service without it. So
the names are known here (from `systemd --dump-configuration-items` of 252, 257 and 262), the directives
that limit a container are checked, and those that would break the service are refused.
"""

import re
from collections.abc import Callable, Mapping

from unitgen.directives import LISTS, SINGLE
from unitgen.errors import BadValue
from unitgen.values import parse_number

_CONDITIONS = """ACPower Architecture CPUFeature CPUPressure CPUs Capability ControlGroupController
Credential DirectoryNotEmpty Environment FileIsExecutable FileNotEmpty Firmware FirstBoot Group Host
IOPressure KernelCommandLine KernelVersion Memory MemoryPressure NeedsUpdate OSRelease PathExists
PathExistsGlob PathIsDirectory PathIsEncrypted PathIsMountPoint PathIsReadWrite PathIsSymbolicLink
Security User Virtualization"""

_UNIT = """After AllowIsolate Before BindsTo CollectMode Conflicts DefaultDependencies Description
Documentation FailureAction FailureActionExitStatus IgnoreOnIsolate JobRunningTimeoutSec
JobTimeoutAction JobTimeoutRebootArgument JobTimeoutSec JoinsNamespaceOf OnFailure OnFailureJobMode
OnSuccess OnSuccessJobMode PartOf PropagatesReloadTo PropagatesStopTo RebootArgument RefuseManualStart
RefuseManualStop ReloadPropagatedFrom Requires RequiresMountsFor Requisite SourcePath StartLimitAction
StartLimitBurst StartLimitIntervalSec StopPropagatedFrom StopWhenUnneeded SuccessAction
SuccessActionExitStatus Upholds Wants"""

_SERVICE = """AllowedCPUs AllowedMemoryNodes AmbientCapabilities AppArmorProfile BPFProgram BindPaths
BindReadOnlyPaths BusName CPUAccounting CPUAffinity CPUQuota CPUQuotaPeriodSec CPUSchedulingPolicy
CPUSchedulingPriority CPUSchedulingResetOnFork CPUWeight CacheDirectory CacheDirectoryMode
CapabilityBoundingSet ConfigurationDirectory ConfigurationDirectoryMode CoredumpFilter DefaultMemoryLow
DefaultMemoryMin Delegate DeviceAllow DevicePolicy DisableControllers DynamicUser Environment
EnvironmentFile ExecCondition ExecPaths ExecReload ExecSearchPath ExecStart ExecStartPost ExecStartPre
ExecStop ExecStopPost ExitType ExtensionDirectories ExtensionImages FailureAction FileDescriptorStoreMax
FinalKillSignal Group GuessMainPID IOAccounting IODeviceLatencyTargetSec IODeviceWeight
IOReadBandwidthMax IOReadIOPSMax IOSchedulingClass IOSchedulingPriority IOWeight IOWriteBandwidthMax
IOWriteIOPSMax IPAccounting IPAddressAllow IPAddressDeny IPCNamespacePath IPEgressFilterPath
IPIngressFilterPath IgnoreSIGPIPE InaccessiblePaths KeyringMode KillMode KillSignal LimitAS LimitCORE
LimitCPU LimitDATA LimitFSIZE LimitLOCKS LimitMEMLOCK LimitMSGQUEUE LimitNICE LimitNOFILE LimitNPROC
LimitRSS LimitRTPRIO LimitRTTIME LimitSIGPENDING LimitSTACK LoadCredential LoadCredentialEncrypted
LockPersonality LogExtraFields LogLevelMax LogNamespace LogRateLimitBurst LogRateLimitIntervalSec
LogsDirectory LogsDirectoryMode ManagedOOMMemoryPressure ManagedOOMMemoryPressureLimit
ManagedOOMPreference ManagedOOMSwap MemoryAccounting MemoryDenyWriteExecute MemoryHigh MemoryLow
MemoryMax MemoryMin MemorySwapMax MountAPIVFS MountFlags MountImages NUMAMask NUMAPolicy
NetworkNamespacePath Nice NoExecPaths NoNewPrivileges NonBlocking NotifyAccess OOMPolicy OOMScoreAdjust
PAMName PIDFile PassEnvironment Personality PrivateDevices PrivateIPC PrivateMounts PrivateNetwork
PrivateTmp PrivateUsers ProcSubset ProtectClock ProtectControlGroups ProtectHome ProtectHostname
ProtectKernelLogs ProtectKernelModules ProtectKernelTunables ProtectProc ProtectSystem ReadOnlyPaths
ReadWritePaths RebootArgument RemainAfterExit RemoveIPC Restart RestartForceExitStatus RestartKillSignal
RestartPreventExitStatus RestartSec RestrictAddressFamilies RestrictFileSystems RestrictNamespaces
RestrictNetworkInterfaces RestrictRealtime RestrictSUIDSGID RootDirectory RootDirectoryStartOnly
RootHash RootHashSignature RootImage RootImageOptions RootVerity RuntimeDirectory RuntimeDirectoryMode
RuntimeDirectoryPreserve RuntimeMaxSec RuntimeRandomizedExtraSec SELinuxContext SecureBits SendSIGHUP
SendSIGKILL SetCredential SetCredentialEncrypted Slice SmackProcessLabel SocketBindAllow SocketBindDeny
Sockets StandardError StandardInput StandardInputData StandardInputText StandardOutput StartLimitAction
StartLimitBurst StartLimitInterval StartupAllowedCPUs StartupAllowedMemoryNodes StartupCPUWeight
StartupIOWeight StateDirectory StateDirectoryMode SuccessExitStatus SupplementaryGroups
SyslogFacility SyslogIdentifier SyslogLevel SyslogLevelPrefix SystemCallArchitectures
SystemCallErrorNumber SystemCallFilter SystemCallLog TTYColumns TTYPath TTYReset TTYRows TTYVHangup
TTYVTDisallocate TasksAccounting TasksMax TemporaryFileSystem TimeoutAbortSec TimeoutCleanSec TimeoutSec
TimeoutStartFailureMode TimeoutStartSec TimeoutStopFailureMode TimeoutStopSec TimerSlackNSec Type UMask
USBFunctionDescriptors USBFunctionStrings UnsetEnvironment User UtmpIdentifier UtmpMode WatchdogSec
WatchdogSignal WorkingDirectory"""

# First systemd that knows the directive; what 252 knows is above.
_NEWER = {
    "Unit": {
        255: "SurviveFinalKillSignal",
        256: "WantsMountsFor",
        258: "ConditionVersion AssertVersion ConditionKernelModuleLoaded AssertKernelModuleLoaded",
        262: """ConditionFraction AssertFraction ConditionMachineTag AssertMachineTag ConditionPathIsSocket
        AssertPathIsSocket""",
    },
    "Service": {
        253: "LogFilterPatterns MemoryZSwapMax OpenFile ReloadSignal",
        254: """DefaultStartupMemoryLow DelegateSubgroup ExtensionImagePolicy FileDescriptorStorePreserve
        ImportCredential MemoryKSM MemoryPressureThresholdSec MemoryPressureWatch MountImagePolicy
        RestartMaxDelaySec RestartMode RestartSteps RootEphemeral RootImagePolicy StartupMemoryHigh
        StartupMemoryLow StartupMemoryMax StartupMemorySwapMax StartupMemoryZSwapMax""",
        255: "CoredumpReceive NFTSet SetLoginEnvironment",
        256: "MemoryZSwapWriteback",
        257: "BindLogSockets ManagedOOMMemoryPressureDurationSec PrivatePIDs",
        258: """BPFDelegateAttachments BPFDelegateCommands BPFDelegateMaps BPFDelegatePrograms
        CacheDirectoryAccounting CacheDirectoryQuota DelegateNamespaces LogsDirectoryAccounting
        LogsDirectoryQuota PrivateBPF StateDirectoryAccounting StateDirectoryQuota""",
        259: "ExecReloadPost UserNamespacePath",
        260: "BindNetworkInterface MemoryTHP RefreshOnReload RootMStack",
        261: """CPUPressureThresholdSec CPUPressureWatch CPUSetPartition IOPressureThresholdSec
        IOPressureWatch OOMRules""",
        262: "LUOSession RestartRandomizedDelaySec",
    },
    "Install": {254: "UpheldBy"},
}


def _gather() -> dict[str, dict[str, int]]:
    checks = [prefix + name for prefix in ("Condition", "Assert") for name in _CONDITIONS.split()]
    checks.remove("AssertFirmware")  # which no systemd up to 262 has
    base = {
        "Unit": [*_UNIT.split(), *checks],
        "Service": _SERVICE.split(),
        "Install": "WantedBy RequiredBy Alias Also DefaultInstance".split(),
    }
    known = {section: dict.fromkeys(names, 0) for section, names in base.items()}
    for section, versions in _NEWER.items():
        for version, names in versions.items():
            known[section].update(dict.fromkeys(names.split(), version))
    return known


DIRECTIVES: Mapping[str, Mapping[str, int]] = _gather()
"""Section to directive to the first systemd that has it (0: all that are supported)."""

_NSPAWN_ITSELF = "it would apply to systemd-nspawn itself, which then cannot set the container up"
_GENERATED = "unitgen sets it"

REFUSED: Mapping[tuple[str, str], tuple[str, str]] = {
    ("Unit", "SourcePath"): (_GENERATED, "remove it"),
    ("Service", "ExecStart"): ("unitgen builds the command line", "use [Exec], [Files] and [Network]"),
    ("Service", "Type"): ("systemd-nspawn reports by notification", "remove it"),
    ("Service", "NotifyAccess"): ("systemd-nspawn reports by notification", "remove it"),
    ("Service", "ExitType"): ("the service ends with systemd-nspawn", "remove it"),
    ("Service", "BusName"): ("systemd-nspawn reports by notification", "remove it"),
    ("Service", "PIDFile"): ("systemd-nspawn reports by notification", "remove it"),
    ("Service", "GuessMainPID"): ("systemd-nspawn reports by notification", "remove it"),
    ("Service", "RemainAfterExit"): ("the service would outlive its container", "remove it"),
    ("Service", "NonBlocking"): (_NSPAWN_ITSELF, "remove it"),
    ("Service", "Delegate"): ("the container manages its own part of the cgroup tree", "remove it"),
    ("Service", "DelegateSubgroup"): ("it has to be the one systemd-nspawn expects", "remove it"),
    ("Service", "User"): (_NSPAWN_ITSELF, "use [Exec] User="),
    ("Service", "Group"): (_NSPAWN_ITSELF, "use [Exec] User="),
    ("Service", "DynamicUser"): (_NSPAWN_ITSELF, "use [Exec] PrivateUsers="),
    ("Service", "SupplementaryGroups"): (_NSPAWN_ITSELF, "remove it"),
    ("Service", "PAMName"): (_NSPAWN_ITSELF, "remove it"),
    ("Service", "PrivateUsers"): (_NSPAWN_ITSELF, "use [Exec] PrivateUsers="),
    ("Service", "WorkingDirectory"): (_NSPAWN_ITSELF, "use [Exec] WorkingDirectory="),
    ("Service", "RootDirectory"): (_NSPAWN_ITSELF, "use [Container] Directory="),
    ("Service", "RootImage"): (_NSPAWN_ITSELF, "use [Container] Image="),
    ("Service", "RootMStack"): (_NSPAWN_ITSELF, "use [Container] MStack="),
    ("Service", "RootEphemeral"): (_NSPAWN_ITSELF, "use [Exec] Ephemeral="),
    ("Service", "RootHash"): (_NSPAWN_ITSELF, "use [Files] RootHash="),
    ("Service", "RootHashSignature"): (_NSPAWN_ITSELF, "use [Files] RootHashSignature="),
    ("Service", "RootImageOptions"): (_NSPAWN_ITSELF, "remove it"),
    ("Service", "RootImagePolicy"): (_NSPAWN_ITSELF, "use [Files] ImagePolicy="),
    ("Service", "RootDirectoryStartOnly"): (_NSPAWN_ITSELF, "remove it"),
    ("Service", "UserNamespacePath"): (_NSPAWN_ITSELF, "use [Exec] PrivateUsers="),
    ("Service", "IPCNamespacePath"): (_NSPAWN_ITSELF, "remove it"),
    ("Service", "PrivateIPC"): (_NSPAWN_ITSELF, "remove it"),
    ("Service", "RootVerity"): (_NSPAWN_ITSELF, "use [Files] RootVerity="),
    ("Service", "PrivateNetwork"): (_NSPAWN_ITSELF, "use [Network] Private="),
    ("Service", "NetworkNamespacePath"): (_NSPAWN_ITSELF, "use [Network] NamespacePath="),
    ("Service", "NoNewPrivileges"): (_NSPAWN_ITSELF, "use [Exec] NoNewPrivileges="),
    ("Service", "CapabilityBoundingSet"): (_NSPAWN_ITSELF, "use [Exec] DropCapability="),
    ("Service", "AmbientCapabilities"): (_NSPAWN_ITSELF, "use [Exec] AmbientCapability="),
    ("Service", "SystemCallFilter"): (_NSPAWN_ITSELF, "use [Exec] SystemCallFilter="),
    ("Service", "SystemCallArchitectures"): (_NSPAWN_ITSELF, "use [Exec] Personality="),
    ("Service", "RestrictAddressFamilies"): (_NSPAWN_ITSELF, "use [Exec] RestrictAddressFamilies="),
    ("Service", "RestrictNamespaces"): (_NSPAWN_ITSELF, "remove it"),
    ("Service", "PrivateDevices"): (_NSPAWN_ITSELF, "use DeviceAllow="),
    ("Service", "PrivatePIDs"): (_NSPAWN_ITSELF, "remove it"),
    ("Service", "ProtectControlGroups"): (_NSPAWN_ITSELF, "remove it"),
    ("Service", "ProtectKernelTunables"): (_NSPAWN_ITSELF, "remove it"),
    ("Service", "ProtectSystem"): (_NSPAWN_ITSELF, "use [Files] ReadOnly="),
    ("Service", "ProtectProc"): (_NSPAWN_ITSELF, "remove it"),
    ("Service", "ProcSubset"): (_NSPAWN_ITSELF, "remove it"),
    ("Install", "Also"): (
        "generated units are not enabled by systemctl",
        "give the other unit its own [Install]",
    ),
    ("Install", "DefaultInstance"): ("the unit is an instance already", "remove it"),
}
"""Directives that would break the container service: why, and what to write."""


def _scale_weight(full: int) -> Callable[[str], str]:
    def scale(text: str) -> str:
        parse_number(2, 262144)(text)
        return str(max(1, min(10000, int(text) * 100 // full)))

    return scale


def _keep(text: str) -> str:
    return text


# systemd 258 no longer knows these; 252 to 257 translate them with a warning of their own.
RENAMED: Mapping[tuple[str, str], tuple[str, Callable[[str], str]]] = {
    ("Service", "CPUShares"): ("CPUWeight", _scale_weight(1024)),
    ("Service", "StartupCPUShares"): ("StartupCPUWeight", _scale_weight(1024)),
    ("Service", "MemoryLimit"): ("MemoryMax", _keep),
    ("Service", "BlockIOWeight"): ("IOWeight", _scale_weight(500)),
    ("Service", "StartupBlockIOWeight"): ("StartupIOWeight", _scale_weight(500)),
    ("Service", "BlockIOReadBandwidth"): ("IOReadBandwidthMax", _keep),
    ("Service", "BlockIOWriteBandwidth"): ("IOWriteBandwidthMax", _keep),
    ("Unit", "StartLimitInterval"): ("StartLimitIntervalSec", _keep),
    ("Unit", "BindTo"): ("BindsTo", _keep),
}
"""Old directives to their successor and the translation of the value."""

RESET_FAMILIES = (("Condition",), ("Assert",), ("BindPaths", "BindReadOnlyPaths"))
"""Beginnings of directives of which one that is empty resets all (systemd.unit(5), systemd.exec(5))."""

NO_EFFECT = frozenset((("Service", "CPUAccounting"), ("Service", "BlockIOAccounting")))
"""Without effect: the unified cgroup tree always accounts for CPU time; systemd 258 warns of them."""

# Everything that takes something away from the container: an older systemd would start it without.
_LIMITS = re.compile(
    r"(Startup)?(Memory(High|Max|SwapMax|ZSwapMax)|AllowedCPUs|AllowedMemoryNodes)|TasksMax|CPUQuota.*|Device.*"
    r"|IO(Read|Write).*Max|IPAddress.*|SocketBind.*|Restrict.*|Protect.*|Private.*|.*Quota|Bind(Network).*|NFTSet"
    r"|Inaccessible.*|ReadOnly.*|Condition.*|Assert.*|NoExec.*|SystemCall.*|LockPersonality|.*ImagePolicy"
)
_SPECIFIER = re.compile("%(?:%|[^A-Za-z0-9%]|$|[aAbBcCdEfgGhHiIjJlLmMnNopPqsStTuUvVwWyY])")


def is_single(directive: str) -> bool:
    """True if a later value replaces an earlier one; of the directives not checked here systemd knows."""
    return directive in SINGLE


def limits_container(directive: str) -> bool:
    """True if a container that starts without the directive is weaker than its spec says."""
    return bool(_LIMITS.fullmatch(directive))


def check_directive(section: str, directive: str, value: str) -> None:
    """Raise BadValue for a value that systemd would ignore or that would keep the unit from loading."""
    check = SINGLE.get(directive) or (LISTS.get(directive) if section != "Install" else None)
    if check:
        check(value)
    if "%" in _SPECIFIER.sub("", value):
        raise BadValue("% is followed by a letter that is no specifier", "write %% for a percent sign")
