"""Input made to take long: files under 1 MiB, and folders full of small ones."""

import textwrap
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from tests.property.roots import FOLDER, locate

_SIZE = 1024 * 1024 - 4096
_LONGEST_VALUE = 120_000
_MOST = 1990  # settings of one file, nearly
Files = dict[str | bytes, bytes]


def _fill(unit: str, size: int = _SIZE) -> str:
    return unit * (size // len(unit.encode()))


def _one(section: str, key: str, unit: str) -> str:
    """One line."""
    return f"[{section}]\n{key}={_fill(unit)}\n"


def _many(section: str, key: str, unit: str, start: str = "") -> str:
    """As many lines as there may be of the longest value."""
    line = f"{key}={start}{_fill(unit, _LONGEST_VALUE)}\n"
    return f"[{section}]\n{line * (_SIZE // len(line.encode()))}"


def _number(section: str, line: str, count: int = _MOST, start: int = 0) -> str:
    """Lines that differ in a number, and in an address made of it."""
    return f"[{section}]\n" + "".join(
        line.format(number, f"10.{number // 65000}.{number // 250 % 250}.{number % 250 + 1}") + "\n"
        for number in range(start, start + count)
    )


def _allow(networks: Iterable[str]) -> str:
    """Networks that differ, in lines that are not too long."""
    lines = textwrap.wrap(" ".join(networks), _LONGEST_VALUE)
    return "[Firewall]\n" + "".join(f"AllowFrom={line}\n" for line in lines)


_TEXTS = [("Exec", "Parameters"), ("Exec", "Environment"), ("Container", "Description"), ("Files", "Bind")]
_TEXTS += [("Files", "TemporaryFileSystem"), ("Files", "Overlay"), ("Exec", "SetCredential")]
_NATIVES = [("Service", "Environment"), ("Service", "ExecStartPre"), ("Unit", "Description")]
_NATIVES += [("Service", "DeviceAllow"), ("Service", "InaccessiblePaths"), ("Service", "LogExtraFields")]
_CHARACTERS = {
    **{"commas": ",", "quotes": '"', "backslashes": "\\", "hashes": "#", "percents": "%", "colons": ":"},
    **{"accents": "é", "slashes": "/", "words": "a ", "quoted": "'#' ", "escapes": "\\x41"},
}

SPECS: Mapping[str, Callable[[], str]] = {
    **{
        f"one-{key}-{name}": partial(_one, section, key, text)
        for section, key in (*_TEXTS, *_NATIVES)
        for name, text in _CHARACTERS.items()
    },
    **{
        f"many-{key}-{name}": partial(_many, section, key, text)
        for section, key in _TEXTS
        for name, text in _CHARACTERS.items()
    },
    "key": lambda: f"[Exec]\n{_fill('Parameters')}=1\n",
    "section": lambda: f"[{_fill('Service')}]\n",
    "keys": lambda: "[Service]\n" + "".join(f"{'MemoryMax' * 55}{number}=1\n" for number in range(_MOST)),
    "distinct-keys": lambda: "[Exec]\n" + "".join(f"k{number}=1\n" for number in range(60_000)),
    "distinct-known-keys": lambda: (
        "[Exec]\n" + "".join(f"Parameters{number}=1\n" for number in range(_MOST))
    ),
    "sections": lambda: "".join(f"[{'Se-rvice' * 60}{number}]\n" for number in range(_MOST)),
    "repeated-sections": lambda: _fill("[Exec]\n"),
    "brackets": lambda: _fill("["),
    "equals": lambda: "[Exec]\n" + _fill("=\n"),
    "line-feeds": lambda: _fill("\n"),
    "carriage-returns": lambda: _fill("\r"),
    "nul": lambda: _fill("\0"),
    "continued": lambda: "[Exec]\nParameters=a" + _fill("a" * 50 + "\\\n") + "x\n",
    "continued-comments": lambda: "[Exec]\nParameters=a\\\n" + _fill("#" * 60 + "\n") + "x\n",
    "resets": lambda: "[Unit]\n" + "ConditionPathExists=/a\nConditionPathExists=\n" * (_MOST // 2),
    "conditions": partial(_number, "Unit", "ConditionPathExists=/a{}"),
    "networks": partial(_one, "Service", "IPAddressAllow", "1.1.1.1 "),
    "networks-6": partial(_one, "Service", "IPAddressAllow", "::1 "),
    "networks-lines": partial(_many, "Service", "IPAddressDeny", "::1 "),
    "units": partial(_one, "Unit", "After", "a.service "),
    "wanted-by": partial(_one, "Install", "WantedBy", "a.target "),
    "aliases": partial(_one, "Install", "Alias", "a@web.service "),
    "mounts-for": partial(_one, "Unit", "RequiresMountsFor", "/a "),
    "after": partial(_many, "Container", "After", "a "),
    "servers": partial(_many, "Network", "DNS", "1.1.1.1 "),
    "servers-6": partial(_many, "Network", "DNS", "2001::1 "),
    "allow-from": partial(_many, "Firewall", "AllowFrom", "1.1.1.1 "),
    "allow-from-6": partial(_many, "Firewall", "AllowFrom", "::1 "),
    "allow-from-both": lambda: (
        _allow(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(30_000))
        + _allow(f"fd00::{n:x}" for n in range(30_000))
    ),
    "allow-from-names": partial(_many, "Firewall", "AllowFrom", "a "),
    "addresses": partial(_many, "Network", "Address", "1.1.1.1 "),
    "pools": partial(_many, "Network", "Pool", "10.0.0.0/16 "),
    "interfaces": partial(_many, "Network", "Interface", "a "),
    "macvlans": partial(_many, "Network", "MACVLAN", "a:b "),
    "capabilities": partial(_many, "Exec", "Capability", "all "),
    "system-calls": partial(_many, "Exec", "SystemCallFilter", "a "),
    "cpus": partial(_many, "Exec", "CPUAffinity", "0 "),
    "allowed-cpus": partial(_one, "Service", "AllowedCPUs", "0 "),
    "users": partial(_many, "Files", "BindUser", "a "),
    "statuses": partial(_one, "Service", "SuccessExitStatus", "1 "),
    "long-status": partial(_one, "Service", "SuccessExitStatus", "1"),
    "restricted": partial(_one, "Service", "RestrictNetworkInterfaces", "a "),
    "bind-ports": partial(_one, "Service", "SocketBindAllow", "9"),
    "time": partial(_one, "Service", "RestartSec", "1"),
    "times": lambda: _one("Service", "RestartSec", "1s ") + "x",
    "times-blanks": lambda: "[Service]\nRestartSec=1" + _fill(" ") + "x\n",
    "times-points": partial(_one, "Service", "RestartSec", ".1"),
    "slice": partial(_one, "Service", "Slice", "a-"),
    "slice-points": partial(_one, "Service", "Slice", ".slice"),
    "percentage": partial(_one, "Service", "CPUQuota", "1"),
    "devices": partial(_one, "Service", "DeviceAllow", " r"),
    "machine": partial(_many, "Exec", "Hostname", "a-"),
    "base64": partial(_many, "Files", "RootHashSignature", "=", "base64:"),
    "port-points": partial(_many, "Network", "Port", "1."),
    "port-brackets": partial(_many, "Network", "Port", "["),
    "port-digits": partial(_many, "Network", "Port", "1"),
    "ports": partial(_number, "Network", "Port={}"),
    "ports-wide": partial(_number, "Network", "Port={1}:1-65535"),
    "ports-wide-both": partial(_number, "Network", "Port=tcp+udp:{1}:1-65535"),
    "ports-narrow": partial(_number, "Network", "Port={1}:1-60"),
    "ports-same": partial(_number, "Network", "Port=10.0.0.1:1-65535"),
    "ports-shifted": partial(_number, "Network", "Port={1}:2-65535:1-65534", 150),
    "links": partial(_number, "Network", "VirtualEthernetExtra=x{}"),
    "binds": partial(_number, "Files", "Bind=/a{}"),
}
"""Each as the only spec."""


def _write_each(
    names: list[str], text: Callable[[str], str], more: Mapping[str, str] | None = None
) -> Files:
    files: Files = {locate(name): text(name).encode() for name in names}
    files.update((path, data.encode()) for path, data in (more or {}).items())
    return files


def _name(count: int) -> list[str]:
    return [f"c{number:04}" for number in range(count)]


def _list_others(name: str, count: int) -> str:
    return " ".join(other for other in _name(count) if other != name)


def _shift(name: str, step: int, count: int) -> str:
    return f"c{(int(name[1:]) + step) % count:04}"


def _nest(start: str, end: str, count: int) -> dict[str, str]:
    return {"etc/unitgen/templates/network.conf.j2": start * count + end * count}


TREES: Mapping[str, tuple[Callable[[], Files], float]] = {
    "all-after-all": (
        lambda: _write_each(_name(500), lambda name: f"[Container]\nAfter={_list_others(name, 500)}\n"),
        2,
    ),
    "ring": (
        lambda: _write_each(_name(300), lambda name: f"[Container]\nAfter={_shift(name, 1, 300)}\n"),
        1.5,
    ),
    "dense-ring": (
        lambda: _write_each(
            _name(300),
            lambda name: (
                f"[Container]\nAfter={' '.join(_shift(name, step, 300) for step in range(1, 20))}\n"
            ),
        ),
        1.5,
    ),
    "all-allow-all": (
        lambda: _write_each(
            _name(200),
            lambda _: "[Exec]\n",
            {"etc/unitgen/unitgen.conf": f"[Firewall]\nAllowFrom={_list_others('', 200)}\n"},
        ),
        3,
    ),
    "one-pod": (
        lambda: _write_each(_name(300), lambda _: "[Network]\nShare=owner\n", {locate("owner"): "[Exec]\n"}),
        1.5,
    ),
    "ports-of-few": (
        lambda: _write_each(
            _name(4), lambda name: _number("Network", "Port={1}:1-65535", _MOST, int(name[1:]) * _MOST)
        ),
        2,
    ),
    "many-dropins": (
        lambda: _write_each(
            ["web"],
            lambda _: "[Exec]\n",
            {f"{FOLDER}/web.ini.d/{number}.ini": "[Exec]\nEnvironment=A=1\n" for number in range(3000)},
        ),
        1.5,
    ),
    "dropins-for-all": (
        lambda: _write_each(
            _name(100),
            lambda _: "[Exec]\n",
            {f"{FOLDER}/container.ini.d/{number}.ini": "[Exec]\nEnvironment=A=1\n" for number in range(100)},
        ),
        2,
    ),
    "long-dropin-for-all": (
        lambda: _write_each(
            _name(200),
            lambda _: "[Exec]\n",
            {f"{FOLDER}/container.ini.d/10.ini": f"#{_fill('x')}\n[Exec]\n"},
        ),
        1,
    ),
    "nested-loops": (
        lambda: _write_each(
            ["web"], lambda _: "[Exec]\n", _nest("{% for i in [] %}", "{% endfor %}", 10_000)
        ),
        1,
    ),
    "nested-conditions": (
        lambda: _write_each(["web"], lambda _: "[Exec]\n", _nest("{% if systemd %}", "{% endif %}", 10_000)),
        1,
    ),
    "nested-brackets": (
        lambda: _write_each(["web"], lambda _: "[Exec]\n", _nest("{{ (", ") }}", 10_000)),
        1,
    ),
}
"""Roots with many files, and the seconds of CPU time that each may take."""
