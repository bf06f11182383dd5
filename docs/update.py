"""Rewrites the generated parts of the pages beside it: `python docs/update.py`.

A part stands between `<!-- generated: NAME -->` and `<!-- end -->`. With --check nothing is written, and
the exit status is 1 if a page is stale.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # run as a script, also where the package is not installed

from unitgen.directives import LISTS, SINGLE  # noqa: E402
from unitgen.errors import CODES, BadValue  # noqa: E402 - it is found by the line above
from unitgen.keys import KEYS, SECTIONS  # noqa: E402
from unitgen.native import (  # noqa: E402
    DIRECTIVES,
    REFUSED,
    RENAMED,
    limits_container,
)
from unitgen.rules import DEPENDENCIES  # noqa: E402
from unitgen.schema import OLDEST_SYSTEMD, Key  # noqa: E402

_PART = re.compile(r"(<!-- generated: (.*?) -->\n).*?(<!-- end -->\n)", re.DOTALL)

# What a key becomes that has no option of its own in the table.
_EFFECTS = {
    "Description": "`Description=` of the unit",
    "Autostart": "the link in `machines.target.wants/`",
    "Unit": "the file `systemd-nspawn@NAME.service`, if it is `full`",
    "WhenBroken": "the stub, or the files of the last run in which the spec was not broken",
    "Boot": "`--boot`",
    "ProcessTwo": "`--as-pid2`",
    "Parameters": "the words after `--`",
    "PrivateUsers": "`-U` or `--private-users=`",
    "PrivateUsersChown": "`--private-users-ownership=`",
    "OOMScoreAdjust": "`OOMScoreAdjust=` of the service, which the payload inherits",
    "Address": "the namespace `unitgen-NAME` and the link `ug-NAME`, in which systemd-nspawn is started",
    "Gateway": "the addresses of `ug-NAME`, and default routes of the container",
    "DNS": "the container's `/etc/resolv.conf`",
    "Pool": "the addresses of `Address=auto`",
    "Share": "`BindsTo=` and `After=` of the unit, and the namespace in which systemd-nspawn is started",
    "Private": "`--private-network`",
    "VirtualEthernet": "`--network-veth`",
    "BridgeAddress": "the unit `unitgen-bridge@BRIDGE.service`",
    "Port": "rules that change the destination; in a native mode `--port=`",
    "Forward": "rules that accept, in the table `filter`",
    "Masquerade": "rules in the table `nat`; in a native mode also in `mangle`",
    "AllowFrom": "rules that drop what others begin",
    "Isolate": "rules that drop what comes from and goes to containers, and what goes to the host",
    "Backend": "what the rules are written for",
    **{name: f"`{name}=` of the unit" for name in DEPENDENCIES},
}

# Types whose name does not say what may be written: the parser's own hint does.
_ENUMERATED = frozenset(("mode", "ownership", "architecture"))
_PHRASES = {
    "text": "text",
    "boolean": "a boolean",
    "boolean or auto": "a boolean or `auto`",
    "boolean or path": "a boolean or an absolute path",
    "boolean, state or overlay": "a boolean, `state` or `overlay`",
    "override or full": "`override` or `full`",
    "iptables or nft": "`iptables` or `nft`",
    "no, yes, pick, identity, managed or UID[:RANGE]": (
        "a boolean, `pick`, `identity`, `managed` or `UID[:RANGE]`"
    ),
    "path": "an absolute path",
    "hash": "hexadecimal digits",
    "machine name": "a machine name",
    "machine names": "machine names, separated by blanks",
    "networks and machine names": "networks, addresses and machine names, separated by blanks",
    "auto or ADDRESS[/PREFIX] ...": "`auto` and `ADDRESS[/PREFIX]`, at most one for each IP version",
    "ADDRESS ...": "addresses, separated by blanks",
    "ADDRESS/PREFIX ...": "`ADDRESS/PREFIX`, at most one for each IP version",
    "NETWORK/PREFIX ...": "`NETWORK/PREFIX`, at most one for each IP version",
    "machine id": "32 hexadecimal digits or a UUID",
    "words": "words, separated by blanks",
    "user": "a user name or number",
    "users": "names, separated by blanks",
    "capabilities": "names of capabilities, separated by blanks",
    "[~]system calls": "system calls and @groups, separated by blanks, with `~` in front to deny them",
    "address families": "address families, separated by blanks",
    "CPUs": "CPU numbers and ranges",
    "signal": "a signal name or number",
    "number": "a number",
    "size": "a size",
    "host name": "a host name",
    "interface": "an interface name",
    "zone": "a name of up to 12 characters",
}

_EXAMPLES = r"""
Description=Web server of the intranet
Directory=/srv/containers/web
Image=/srv/images/web.raw
Template=/srv/templates/debian
MStack=/srv/containers/web.mstack
OCIBundle=/srv/bundles/web
Autostart=no
Unit=full
WhenBroken=stub
After=database cache
Before=monitor
Wants=cache
Requires=database
Requisite=database
BindsTo=database
PartOf=database
Conflicts=web-old
Boot=no
ProcessTwo=yes
Parameters=busybox httpd -f -h "/srv/my site"
Ephemeral=yes
Environment=LANG=C.UTF-8 "GREETING=hello world"
User=www-data
WorkingDirectory=/srv
PivotRoot=/ostree/deploy:/sysroot
Capability=CAP_NET_ADMIN CAP_SYS_TIME
DropCapability=CAP_NET_RAW CAP_MKNOD
AmbientCapability=CAP_NET_BIND_SERVICE
NoNewPrivileges=yes
KillSignal=SIGTERM
Personality=x86
MachineID=6d0a8c1a3f0b4b5c9c0a7d1f2e3b4a59
PrivateUsers=pick
PrivateUsersDelegate=1
NotifyReady=yes
SystemCallFilter=~@mount @keyring
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
LimitCPU=1h
LimitFSIZE=1G
LimitDATA=512M
LimitSTACK=8M:64M
LimitCORE=0
LimitRSS=256M
LimitAS=infinity
LimitMEMLOCK=64K
LimitMSGQUEUE=800K
LimitNOFILE=1024:4096
LimitNPROC=256
LimitLOCKS=1000
LimitSIGPENDING=1000
LimitNICE=20
LimitRTPRIO=0
LimitRTTIME=200ms
OOMScoreAdjust=500
CPUAffinity=0-3 6
Hostname=www
ResolvConf=copy-host
Timezone=symlink
LinkJournal=no
SuppressSync=yes
SetCredential=greeting:hello\nworld
LoadCredential=tls.key:/etc/ssl/private/web.key
SELinuxContext=system_u:system_r:container_t:s0
SELinuxApifsContext=system_u:object_r:container_file_t:s0
Console=pipe
Register=no
ForwardJournal=/var/log/journal/web
ForwardJournalMaxUse=500M
ForwardJournalKeepFree=1G
ForwardJournalMaxFileSize=50M
ForwardJournalMaxFiles=10
ReadOnly=yes
Volatile=overlay
Bind=/srv/data:/data
BindReadOnly=/srv/with\:colon:/mnt:norbind
TemporaryFileSystem=/tmp:mode=1777,size=64M
Inaccessible=/root
Overlay=/srv/base:/srv/changes:/srv/site
OverlayReadOnly=/srv/base:/srv/more:/srv/site
PrivateUsersOwnership=map
PrivateUsersChown=yes
BindUser=alice
BindUserShell=/bin/bash
BindUserGroup=staff
RootHash=93bcf5b45a0a0d5fd0f0ffba8e1ae20ca06fcd3a04d34f2da5a8fca2e9ce3bd5
RootHashSignature=/srv/images/web.roothash.p7s
RootVerity=/srv/images/web.verity
ImagePolicy=root=verity+signed
Address=192.168.77.10/24 fd00:77::10/64
Gateway=192.168.77.1 fd00:77::1
DNS=192.0.2.53 2001:db8::53
Pool=10.99.0.0/16 fd12:3456:789a::/64
Share=web
Private=yes
VirtualEthernet=no
VirtualEthernetExtra=ve-backup:backup0
Interface=eth1
MACVLAN=eth0
IPVLAN=eth0
Bridge=br0
BridgeAddress=10.80.0.1/24
Zone=lab
NamespacePath=/run/netns/web
Port=tcp:8080:80
Forward=no
Masquerade=yes
AllowFrom=192.0.2.0/24 2001:db8::/32 monitor
Isolate=yes
Backend=nft
"""


def main(arguments: list[str]) -> int:
    """Rewrite the pages, or with --check report the stale ones."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: docs/update.py [--check]\n")
        return 2
    stale = {path: text for path, text in _update_pages() if text != path.read_text()}
    for path, text in stale.items():
        sys.stderr.write(f"{path.name}: {'stale, run python docs/update.py' if arguments else 'updated'}\n")
        if not arguments:
            path.write_text(text)
    return int(bool(stale and arguments))


def _update_pages() -> Iterator[tuple[Path, str]]:
    parts = _list_parts()

    def fill(match: re.Match[str]) -> str:
        return f"{match[1]}\n{parts[match[2]]().strip()}\n\n{match[3]}"

    for path in sorted(HERE.glob("*.md")):
        yield path, _PART.sub(fill, path.read_text())


def _list_parts() -> Mapping[str, Callable[[], str]]:
    def bind(section: str) -> Callable[[], str]:
        return lambda: _format_section(section)

    return {
        "codes": _format_codes,
        "refused": _format_refused,
        "renamed": _format_renamed,
        "checked": _format_checked,
        "newer": _format_newer,
        **{f"keys {section}": bind(section) for section in SECTIONS},
    }


def _format_section(section: str) -> str:
    examples = dict(line.split("=", 1) for line in _EXAMPLES.split("\n") if line)
    rows = [row for row in KEYS.values() if row.section == section]
    return "\n\n".join(_format_key(row, examples[row.name]) for row in rows)


def _format_key(row: Key, example: str) -> str:
    row.type.parse(example)
    facts = [f"Takes {_describe_type(row)}."]
    facts += [f"Default: {_describe_default(row)}."] if row.default else []
    facts += ["May be repeated."] if row.many else []
    effect = f"`{re.sub('{,?}', '', row.option)}`" if row.option else _EFFECTS[row.name]
    lines = [row.doc, " ".join(facts), f"Becomes {effect}.", *_describe_versions(row)]
    lines.append(f"Example: `{row.name}={example}`")
    return f"`{row.name}=`\n:   " + "\n    ".join(lines)


def _describe_default(row: Key) -> str:
    """A value as it is written, or words about it."""
    return row.default if " " in row.default else f"`{row.default}`"


def _describe_type(row: Key) -> str:
    if row.type.name not in _ENUMERATED:
        return _PHRASES.get(row.type.name, f"`{row.type.name}`")
    values = _ask_hint(row).removeprefix("write ").split(" or ")
    return ", ".join(f"`{value}`" for value in values[:-1]) + f" or `{values[-1]}`"


def _ask_hint(row: Key) -> str:
    try:
        row.type.parse("?")
    except BadValue as error:
        return error.hint
    raise AssertionError(f"{row.name}= accepts anything")


def _describe_versions(row: Key) -> Iterator[str]:
    if row.since > OLDEST_SYSTEMD:
        fate = "it is an error" if row.weakens else "it is left out, with a warning"
        yield f"Needs systemd {row.since}; with an older one {fate}."
    for word, version in row.newer.items():
        if version > OLDEST_SYSTEMD:
            what = "A pair with a colon" if word == ":" else f"`{word}`"
            yield f"{what} needs systemd {version}; with an older one it is an error."


def _format_codes() -> str:
    return "\n\n".join(
        f"`{code}`\n:   {meaning[0].upper()}{meaning[1:]}." for code, meaning in CODES.items()
    )


def _format_refused() -> str:
    reasons: dict[str, list[str]] = {}
    for (section, name), (reason, remedy) in REFUSED.items():
        where = "" if section == "Service" else f"[{section}] "
        instead = "" if remedy == "remove it" else f" ({remedy})"
        reasons.setdefault(reason, []).append(f"`{where}{name}=`{instead}")
    return "\n".join(f"- {reason}: {', '.join(names)}" for reason, names in reasons.items())


def _format_renamed() -> str:
    rows = ["| section | old | taken as | example |", "|---|---|---|---|"]
    for (section, old), (new, translate) in RENAMED.items():
        value = {"StartLimitInterval": "10s", "BindTo": "a.service", "MemoryLimit": "512M"}.get(old, "")
        value = value or ("/dev/sda 10M" if "Bandwidth" in old else "512")
        example = f"`{old}={value}` is `{new}={translate(value)}`"
        rows.append(f"| \\[{section}\\] | `{old}=` | `{new}=` | {example} |")
    return "\n".join(rows)


def _format_checked() -> str:
    names = sorted(
        {name for known in DIRECTIVES.values() for name in known if name in SINGLE or name in LISTS}
    )
    return ", ".join(f"`{name}=`" for name in names if ("Service", name) not in REFUSED) + "."


def _format_newer() -> str:
    rows = ["| since | left out, with a warning | an error, as it limits the container |", "|---|---|---|"]
    versions = sorted({version for known in DIRECTIVES.values() for version in known.values() if version})
    for version in versions:
        names = sorted(
            name
            for section, known in DIRECTIVES.items()
            for name, since in known.items()
            if since == version and (section, name) not in REFUSED
        )
        groups = [[name for name in names if limits_container(name) is limits] for limits in (False, True)]
        rows.append(f"| {version} | " + " | ".join(", ".join(f"`{n}=`" for n in g) for g in groups) + " |")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
