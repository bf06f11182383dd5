"""A fleet as there may be one on a real host, in which nothing stands in each other's way."""

from collections.abc import Callable, Mapping

from tests.property.roots import FOLDER, locate

SPECS: Mapping[str, str] = {
    "cache": "[Container]\nBefore=web\n"
    "[Exec]\nProcessTwo=yes\nParameters=sh -c 'sleep 1'\n"
    "[Network]\nAddress=10.77.9.1\n",
    "db": "[Container]\nDirectory=/srv/db\n"
    "[Network]\nPort=127.0.0.1:5432\n"
    "[Firewall]\nAllowFrom=web app 192.0.2.0/24\n"
    "[Service]\nMemoryMax=1G\n",
    "web": "[Container]\nRequires=db\nAfter=db\n"
    "[Files]\nBind=/srv/www:/www\n"
    "[Network]\nPort=80\nPort=443\nPort=[2001:db8::1]:8080:80\n",
    "app": "[Container]\nAfter=db\nWants=cache\nUnit=full\n"
    "[Exec]\nEnvironment=A=1 'B=2 3'\n"
    "[Firewall]\nIsolate=yes\nAllowFrom=web\n",
    "pod": "[Network]\nPort=tcp+udp:5353:53\nDNS=192.0.2.53\n",
    "pod-side": "[Container]\nAfter=pod\n[Exec]\nProcessTwo=yes\nParameters=sleep 1\n[Network]\nShare=pod\n",
    "pod-third": "[Network]\nShare=pod\n",
    "lan": "[Network]\nAddress=192.168.7.10/24 2001:db8:7::10/64\nGateway=192.168.7.254 2001:db8:7::fe\n"
    "[Firewall]\nMasquerade=no\n",
    "lan-two": "[Network]\nAddress=192.168.7.11/24\nGateway=192.168.7.254\n[Firewall]\nBackend=nft\n",
    "bridged": "[Network]\nBridge=br1\nBridgeAddress=10.80.0.1/24\n",
    "bridged-two": "[Network]\nBridge=br1\nBridgeAddress=10.80.0.1/24\nPort=8081:80\n"
    "[Firewall]\nMasquerade=yes\n",
    "zoned": "[Network]\nZone=lab\nPort=8082:80\n",
    "veth": "[Network]\nVirtualEthernet=yes\nVirtualEthernetExtra=ext0:lan0\n",
    "host": "[Network]\nVirtualEthernet=no\n[Install]\nWantedBy=multi-user.target\n",
    "watcher": "[Firewall]\nAllowFrom=zoned veth lan\n",
    "a-machine-name-of-more-than-twenty-eight": "[Container]\nAutostart=no\n",
    "averyveryverylongname": "[Container]\nConflicts=web\n[Network]\nPort=9000-9010\n",
    "averyveryverylongnames": '[Container]\nDescription=100% "odd" $HOME é\n',
}
EXTRA: Mapping[str, bytes] = {
    "etc/machine-id": b"0123456789abcdef0123456789abcdef\n",
    "usr/lib/systemd/libsystemd-shared-257.so": b"",
    "etc/unitgen/unitgen.conf": b"[Network]\nPool=10.77.0.0/16 fd77::/64\n",
    "etc/unitgen/unitgen.conf.d/10-site.conf": b"[Service]\nTasksMax=4096\n",
    f"{FOLDER}/container.ini.d/10-all.ini": b"[Service]\nCPUWeight=50\n",
    f'{FOLDER}/container.ini.d/20-odd %n $x "q" é.ini': b"[Service]\nIOWeight=50\n",
    # Reported, and of no effect.
    **{
        f"{FOLDER}/{name}": b""
        for name in ("a.nspawn", "b.conf", "c.INI", "d.ini.d/10.ini", "e.ini.d/10.ini")
    },
    "usr/lib/unitgen/containers/f.nspawn": b"",
    f"{FOLDER}/web.ini.d/10-more.ini": b"[Exec]\nHostname=www\n",
}
FRIENDS: Mapping[str, tuple[str, ...]] = {
    "pod": ("pod-side", "pod-third"),
    "pod-side": ("pod",),
    "pod-third": ("pod",),
    "web": ("app", "db"),
    "app": ("db",),
    "zoned": ("watcher",),
    "veth": ("watcher",),
    "lan": ("watcher",),
}
"""Who is named in Share= or AllowFrom=, and by whom: what it says decides on the others' rules too. And who
is in a pod, whose owner knows its name.
"""


def list_files() -> dict[str | bytes, bytes]:
    """All files of the fleet by their path below the root."""
    files: dict[str | bytes, bytes] = {locate(name): text.encode() for name, text in SPECS.items()}
    files.update(EXTRA)
    return files


def _spoil(text: bytes) -> bytes:
    """A value that does not parse in the place of the last one."""
    return text.rpartition(b"=")[0] + b"=\x01\n"


BREAKS: Mapping[str, Callable[[bytes], bytes]] = {
    "stray-line": lambda text: text + b"stray\n",
    "unknown-section": lambda text: text + b"[Exce]\n",
    "unknown-key": lambda text: b"[Exec]\nBooot=yes\n" + text,
    "refused": lambda text: text + b"[Service]\nExecStart=/bin/evil\n",
    "conflict": lambda text: text + b"[Exec]\nBoot=yes\nProcessTwo=yes\n",
    "not-utf-8": lambda text: text + b"# \xff\n",
    "nul": lambda text: b"\0" + text,
    "too-many-lines": lambda text: text + b"\n" * 20_001,
    "no-text-at-all": lambda text: bytes(range(1, 256)) * 8,
    "last-value": _spoil,
    "cut": lambda text: text[: len(text) // 2] + b"\n=\n",
}
