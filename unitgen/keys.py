"""The table of keys: the only list of what a spec may say.

The parser, the unknown-key error, the command line of systemd-nspawn, the man page and the tests read it.
"""

import re
from collections.abc import Mapping

from unitgen.addresses import ADDRESSES, DEFAULT_POOL, GATEWAYS, LINK_ADDRESSES, PEERS, POOLS, SERVERS
from unitgen.errors import BadValue
from unitgen.interfaces import INTERFACE, PAIR, PAIRS, ZONE
from unitgen.mounts import BIND, OVERLAY, TMPFS
from unitgen.ports import PORT
from unitgen.schema import Key
from unitgen.values import (
    BOOLEAN,
    CAPABILITIES,
    CPUS,
    ENVIRONMENT,
    ID128,
    LOAD_CREDENTIAL,
    MACHINE,
    MACHINES,
    OWN_CAPABILITIES,
    PATH,
    RLIMIT,
    RLIMIT_CPU,
    RLIMIT_NICE,
    RLIMIT_RTTIME,
    RLIMIT_SIZE,
    SET_CREDENTIAL,
    SIGNAL,
    SIZE,
    SYSCALLS,
    TEXT,
    USER,
    USERS,
    WORDS,
    Type,
    choice,
    parse_machine,
    parse_number,
    parse_path,
    split_blanks,
)

_BASE64 = re.compile("base64:[A-Za-z0-9+/]+=*")


def _enum(name: str, *values: str, boolean: bool = False) -> Type:
    return Type(name, choice(*values, boolean=boolean))


def _parse_uid_range(text: str) -> str:
    first, colon, length = text.partition(":")
    if not re.fullmatch("[1-9][0-9]{1,9}", first):  # 0 and 1 are booleans here
        raise BadValue(f"{first!r} is not a user id", "write like 65536 or 65536:65536")
    uid = parse_number(2, 2**32 - 3)(first)
    return f"{uid}:{parse_number(1, 2**32 - 2)(length)}" if colon else uid


_PRIVATE_USERS = Type(
    "no, yes, pick, identity, managed or UID[:RANGE]",
    choice("pick", "identity", "managed", boolean=True, other=_parse_uid_range),
)
_OWNERSHIP = _enum("ownership", "off", "chown", "map", "auto", "foreign")
_SIGNATURE = Type("path or base64:DATA", lambda text: text if _BASE64.fullmatch(text) else parse_path(text))
_RESOLV_CONF = _enum(
    "mode",
    *("off", "delete", "auto"),
    *(
        f"{how}-{what}"
        for how in ("copy", "replace", "bind")
        for what in ("host", "static", "uplink", "stub")
    ),
)
_PERSONALITY = _enum(
    "architecture", "x86", "x86-64", "arm", "arm64", "s390", "s390x", "ppc", "ppc64", "ppc64-le"
)
_SHELL = Type("boolean or path", choice(boolean=True, other=parse_path))
_BIND_NEWER = {"idmap": 250, "noidmap": 250, "rootidmap": 252, "owneridmap": 256}

CONTAINER = (
    Key("Container", "Description", TEXT, "What the container is for, as systemctl status shows it."),
    Key("Container", "Directory", PATH, "The directory that holds the container's tree.", "--directory={}"),
    Key("Container", "Image", PATH, "A disk image or block device with the container's tree.", "--image={}"),
    Key(
        "Container",
        "Template",
        PATH,
        "A tree to copy Directory= from when it does not exist.",
        "--template={}",
    ),
    Key(
        "Container",
        "MStack",
        PATH,
        "A .mstack/ directory with the container's layers.",
        "--mstack={}",
        since=260,
        weakens=True,
    ),
    Key("Container", "OCIBundle", PATH, "An OCI runtime bundle to run.", "--oci-bundle={}"),
    Key("Container", "Autostart", BOOLEAN, "Whether the container starts at boot.", default="yes"),
    Key(
        "Container",
        "Unit",
        _enum("override or full", "override", "full"),
        "Whether the vendor's systemd-nspawn@.service or a complete unit of unitgen's is the base.",
        default="override",
    ),
    Key(
        "Container",
        "WhenBroken",
        _enum("keep or stub", "keep", "stub"),
        "What a container with a broken spec has: what it had before, or nothing that could start.",
        default="keep",
    ),
    Key("Container", "After", MACHINES, "Containers that start before this one.", many=True),
    Key("Container", "Before", MACHINES, "Containers that start after this one.", many=True),
    Key("Container", "Wants", MACHINES, "Containers to start with this one.", many=True),
    Key("Container", "Requires", MACHINES, "Containers without which this one does not start.", many=True),
    Key("Container", "Requisite", MACHINES, "Containers that must run already.", many=True),
    Key("Container", "BindsTo", MACHINES, "Containers with which this one also stops.", many=True),
    Key("Container", "PartOf", MACHINES, "Containers whose stop or restart is also this one's.", many=True),
    Key("Container", "Conflicts", MACHINES, "Containers that may not run beside this one.", many=True),
)

EXEC = (
    Key("Exec", "Boot", BOOLEAN, "Whether to run the tree's init as PID 1.", default="yes"),
    Key(
        "Exec", "ProcessTwo", BOOLEAN, "Whether to run the command as PID 2 under a stub init.", default="no"
    ),
    Key("Exec", "Parameters", WORDS, "The command and its arguments, or arguments of init.", many=True),
    Key(
        "Exec",
        "Ephemeral",
        BOOLEAN,
        "Whether to run on a copy that is thrown away.",
        "--ephemeral",
        default="no",
    ),
    Key("Exec", "Environment", ENVIRONMENT, "Variables for the first process.", "--setenv={}", many=True),
    Key("Exec", "User", USER, "The user of the tree to run the command as.", "-u{}", default="root"),
    Key(
        "Exec", "WorkingDirectory", PATH, "Where in the tree the command starts.", "--chdir={}", default="/"
    ),
    Key(
        "Exec",
        "PivotRoot",
        Type("PATH[:PATH]", lambda text: ":".join(map(parse_path, text.split(":", 1)))),
        "A directory of the tree to make the root, and one to keep the old root at.",
        "--pivot-root={}",
    ),
    Key(
        "Exec",
        "Capability",
        CAPABILITIES,
        "Capabilities beside the default ones.",
        "--capability={,}",
        many=True,
    ),
    Key(
        "Exec",
        "DropCapability",
        CAPABILITIES,
        "Capabilities to take away.",
        "--drop-capability={,}",
        many=True,
    ),
    Key(
        "Exec",
        "AmbientCapability",
        OWN_CAPABILITIES,
        "Capabilities to hand to a command that is not root.",
        "--ambient-capability={,}",
        many=True,
        since=248,
    ),
    Key(
        "Exec",
        "NoNewPrivileges",
        BOOLEAN,
        "Whether to bar setuid programs.",
        "--no-new-privileges={}",
        default="no",
    ),
    Key("Exec", "KillSignal", SIGNAL, "The signal that asks the first process to stop.", "--kill-signal={}"),
    Key("Exec", "Personality", _PERSONALITY, "What uname -m says.", "--personality={}"),
    Key("Exec", "MachineID", ID128, "The container's /etc/machine-id.", "--uuid={}"),
    Key(
        "Exec",
        "PrivateUsers",
        _PRIVATE_USERS,
        "User ids of the container's own.",
        default="pick",
        newer={"identity": 249, "managed": 258},
    ),
    Key(
        "Exec",
        "PrivateUsersDelegate",
        Type("number", parse_number(0, 65535)),
        "How many ranges of user ids to hand on for nested containers.",
        "--private-users-delegate={}",
        since=260,
    ),
    Key(
        "Exec",
        "NotifyReady",
        BOOLEAN,
        "Whether init says when it is ready.",
        "--notify-ready={}",
        default="no",
    ),
    Key(
        "Exec",
        "SystemCallFilter",
        SYSCALLS,
        "System calls to allow or deny.",
        "--system-call-filter={}",
        many=True,
    ),
    Key(
        "Exec",
        "RestrictAddressFamilies",
        Type("address families", lambda text: _parse_families(text)),
        "Socket address families to allow.",
        "--restrict-address-families={}",
        since=261,
        weakens=True,
    ),
    *(
        Key("Exec", f"Limit{name}", kind, f"The resource limit RLIMIT_{name}.", f"--rlimit={name}={{}}")
        for name, kind in (
            ("CPU", RLIMIT_CPU),
            *(
                (name, RLIMIT_SIZE)
                for name in ("FSIZE", "DATA", "STACK", "CORE", "RSS", "AS", "MEMLOCK", "MSGQUEUE")
            ),
            *((name, RLIMIT) for name in ("NOFILE", "NPROC", "LOCKS", "SIGPENDING", "RTPRIO")),
            ("NICE", RLIMIT_NICE),
            ("RTTIME", RLIMIT_RTTIME),
        )
    ),
    Key(
        "Exec",
        "OOMScoreAdjust",
        Type("number", parse_number(-1000, 1000)),
        "How soon the kernel kills the payload when memory is short.",
    ),
    Key("Exec", "CPUAffinity", CPUS, "CPUs to run on.", "--cpu-affinity={}"),
    Key(
        "Exec",
        "Hostname",
        Type("host name", parse_machine),
        "The host name, if not the machine name.",
        "--hostname={}",
    ),
    Key(
        "Exec",
        "ResolvConf",
        _RESOLV_CONF,
        "What becomes of /etc/resolv.conf.",
        "--resolv-conf={}",
        default="auto",
    ),
    Key(
        "Exec",
        "Timezone",
        _enum("mode", "off", "copy", "bind", "symlink", "delete", "auto"),
        "What becomes of /etc/localtime.",
        "--timezone={}",
        default="auto",
    ),
    Key(
        "Exec",
        "LinkJournal",
        _enum("mode", "no", "host", "try-host", "guest", "try-guest", "auto"),
        "Whether the journal is kept where the host sees it.",
        "--link-journal={}",
        default="try-guest",
    ),
    Key(
        "Exec",
        "SuppressSync",
        BOOLEAN,
        "Whether to ignore fsync().",
        "--suppress-sync={}",
        default="no",
        since=250,
    ),
    Key(
        "Exec",
        "SetCredential",
        SET_CREDENTIAL,
        "A credential with the value given; C escapes are resolved.",
        "--set-credential={}",
        many=True,
    ),
    Key(
        "Exec",
        "LoadCredential",
        LOAD_CREDENTIAL,
        "A credential read from a file, or from a credential of the service.",
        "--load-credential={}",
        many=True,
    ),
    Key("Exec", "SELinuxContext", TEXT, "The SELinux context of the processes.", "--selinux-context={}"),
    Key(
        "Exec",
        "SELinuxApifsContext",
        TEXT,
        "The SELinux context of /proc, /sys and the tmpfs.",
        "--selinux-apifs-context={}",
    ),
    Key(
        "Exec",
        "Console",
        _enum("mode", "read-only", "passive", "pipe", "autopipe"),
        "What the first process has as its console.",
        "--console={}",
        default="read-only",
    ),
    Key(
        "Exec",
        "Register",
        _enum("boolean or auto", "auto", boolean=True),
        "Whether machinectl shows the container.",
        "--register={}",
        default="yes",
        newer={"auto": 261},
    ),
    Key(
        "Exec",
        "ForwardJournal",
        PATH,
        "Where to write the guest's journal.",
        "--forward-journal={}",
        since=261,
    ),
    *(
        Key(
            "Exec",
            f"ForwardJournal{name}",
            kind,
            f"The {what} of ForwardJournal=.",
            f"--forward-journal-{option}={{}}",
            since=261,
        )
        for name, kind, what, option in (
            ("MaxUse", SIZE, "most space", "max-use"),
            ("KeepFree", SIZE, "space to leave free", "keep-free"),
            ("MaxFileSize", SIZE, "largest file", "max-file-size"),
            ("MaxFiles", Type("number", parse_number(0, 2**32 - 1)), "most files", "max-files"),
        )
    ),
)

FILES = (
    Key("Files", "ReadOnly", BOOLEAN, "Whether the tree is mounted read-only.", "--read-only", default="no"),
    Key(
        "Files",
        "Volatile",
        _enum("boolean, state or overlay", "state", "overlay", boolean=True),
        "Whether changes to the tree, or to /var, are lost at stop.",
        "--volatile={}",
        default="no",
    ),
    Key(
        "Files",
        "Bind",
        BIND,
        "A host path to show in the container.",
        "--bind={}",
        many=True,
        newer=_BIND_NEWER,
    ),
    Key(
        "Files",
        "BindReadOnly",
        BIND,
        "The same, read-only.",
        "--bind-ro={}",
        many=True,
        newer=_BIND_NEWER,
    ),
    Key("Files", "TemporaryFileSystem", TMPFS, "A tmpfs to mount.", "--tmpfs={}", many=True),
    Key("Files", "Inaccessible", PATH, "A path of the container to hide.", "--inaccessible={}", many=True),
    Key("Files", "Overlay", OVERLAY, "Directories to mount as one.", "--overlay={}", many=True),
    Key("Files", "OverlayReadOnly", OVERLAY, "The same, read-only.", "--overlay-ro={}", many=True),
    Key(
        "Files",
        "PrivateUsersOwnership",
        _OWNERSHIP,
        "How the tree's files get the container's user ids.",
        "--private-users-ownership={}",
        default="auto",
        since=249,
        newer={"foreign": 258},
    ),
    Key("Files", "PrivateUsersChown", BOOLEAN, "The old form of PrivateUsersOwnership=chown."),
    Key(
        "Files",
        "BindUser",
        USERS,
        "Users of the host to have in the container.",
        "--bind-user={}",
        many=True,
        since=249,
    ),
    Key(
        "Files",
        "BindUserShell",
        _SHELL,
        "The shell of BindUser= users.",
        "--bind-user-shell={}",
        since=258,
        weakens=True,
    ),
    Key(
        "Files",
        "BindUserGroup",
        USERS,
        "Groups for BindUser= users.",
        "--bind-user-group={}",
        many=True,
        since=259,
    ),
    Key(
        "Files",
        "RootHash",
        Type("hash", lambda text: _parse_hash(text)),
        "The dm-verity root hash of Image=.",
        "--root-hash={}",
    ),
    Key(
        "Files",
        "RootHashSignature",
        _SIGNATURE,
        "The signature of RootHash=: a path or base64:DATA.",
        "--root-hash-sig={}",
    ),
    Key("Files", "RootVerity", PATH, "The dm-verity data of Image=.", "--verity-data={}"),
    Key(
        "Files",
        "ImagePolicy",
        TEXT,
        "What partitions of Image= must be; systemd.image-policy(7).",
        "--image-policy={}",
        since=254,
        weakens=True,
    ),
)

# address_families(7), what containers have a use for.
_FAMILIES = frozenset(
    """AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET AF_VSOCK AF_ALG AF_BLUETOOTH AF_CAN AF_KEY AF_TIPC
    AF_XDP AF_QIPCRTR AF_PPPOX AF_RDS AF_NFC AF_ISDN AF_IEEE802154""".split()
)
_PAIR_NEWER = {":": 254}

NETWORK = (
    Key(
        "Network",
        "Address",
        ADDRESSES,
        "Addresses of the container on a link of its own, made before it starts; the default network.",
        default="auto",
    ),
    Key(
        "Network",
        "Gateway",
        GATEWAYS,
        "Addresses of the host's end of that link.",
        default="the first of the network",
    ),
    Key(
        "Network",
        "DNS",
        SERVERS,
        "DNS servers of the container, in place of the host's resolver.",
        many=True,
    ),
    Key(
        "Network",
        "Pool",
        POOLS,
        "Networks that automatic addresses are taken from; best set in unitgen.conf.",
        default=f"{DEFAULT_POOL} and a private IPv6 network of the host's own",
    ),
    Key("Network", "Share", MACHINE, "The container whose network, and life, this one shares."),
    Key(
        "Network",
        "Private",
        BOOLEAN,
        "Whether the container has interfaces of its own only; no is the host's network.",
    ),
    Key(
        "Network",
        "VirtualEthernet",
        BOOLEAN,
        "Whether systemd-nspawn makes a veth link; with no alone the network is the host's.",
    ),
    Key(
        "Network", "VirtualEthernetExtra", PAIR, "A further veth link.", "--network-veth-extra={}", many=True
    ),
    Key(
        "Network",
        "Interface",
        PAIRS,
        "Interfaces of the host to move into the container.",
        "--network-interface={}",
        many=True,
        newer=_PAIR_NEWER,
    ),
    Key(
        "Network",
        "MACVLAN",
        PAIRS,
        "Interfaces to add a macvlan of.",
        "--network-macvlan={}",
        many=True,
        newer=_PAIR_NEWER,
    ),
    Key(
        "Network",
        "IPVLAN",
        PAIRS,
        "Interfaces to add an ipvlan of.",
        "--network-ipvlan={}",
        many=True,
        newer=_PAIR_NEWER,
    ),
    Key("Network", "Bridge", INTERFACE, "A bridge to plug the veth link into.", "--network-bridge={}"),
    Key(
        "Network",
        "BridgeAddress",
        LINK_ADDRESSES,
        "Addresses to make the bridge of Bridge= with, if it is not there.",
    ),
    Key("Network", "Zone", ZONE, "A bridge made on demand, shared by name.", "--network-zone={}"),
    Key("Network", "NamespacePath", PATH, "A network namespace to join.", "--network-namespace-path={}"),
    Key("Network", "Port", PORT, "A port of the host that leads to the container.", many=True),
)

FIREWALL = (
    Key(
        "Firewall",
        "Forward",
        BOOLEAN,
        "Whether what the firewall drops when it forwards is let through for the container.",
        default="yes",
    ),
    Key(
        "Firewall",
        "Masquerade",
        BOOLEAN,
        "Whether what leaves the host gets the host's address.",
        default="yes with Address=, else no",
    ),
    Key(
        "Firewall",
        "AllowFrom",
        PEERS,
        "Networks and containers that may connect; nobody else but the host may.",
        many=True,
    ),
    Key(
        "Firewall",
        "Isolate",
        BOOLEAN,
        "Whether other containers, and services of the host, are out of reach.",
        default="no",
    ),
    Key(
        "Firewall",
        "Backend",
        _enum("iptables or nft", "iptables", "nft"),
        "What loads the rules.",
        default="iptables, nft where that alone is installed",
    ),
)


def _parse_family(text: str) -> str:
    if text not in _FAMILIES:
        hint = f"write {', '.join(sorted(_FAMILIES))}"
        raise BadValue(f"{text!r} is not an address family", hint)
    return text


def _parse_families(text: str) -> str:
    negated = "~" if text.startswith("~") else ""
    names = split_blanks(text.removeprefix("~"))
    if names == ["none"] and not negated:
        return "none"
    return negated + " ".join(map(_parse_family, names))


def _parse_hash(text: str) -> str:
    if len(text) < 32 or len(text) % 2 or not set(text) <= set("0123456789abcdefABCDEF"):
        raise BadValue(f"{text!r} is not a hash", "write its hexadecimal digits, 64 for SHA-256")
    return text


KEYS: Mapping[tuple[str, str], Key] = {
    key.id: key for key in (*CONTAINER, *EXEC, *FILES, *NETWORK, *FIREWALL)
}
SECTIONS = tuple(dict.fromkeys(section for section, _ in KEYS))
DEPENDENCIES = tuple(row.name for row in CONTAINER if row.type is MACHINES)
"""Keys of [Container] that name other containers, each a directive of [Unit]."""
IMAGES = ("Directory", "Image", "MStack", "OCIBundle")
"""Keys of [Container] that say where the tree is; only one of them may."""
