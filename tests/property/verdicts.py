"""Values of systemd's directives that unitgen lets through, and what systemd says of them."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import NamedTuple

from tests.property.reader import BLANKS
from unitgen import escape
from unitgen.directives import LISTS, NEWER, SINGLE
from unitgen.errors import BadValue
from unitgen.ini import has_inline_comment
from unitgen.native import DIRECTIVES, NO_EFFECT, REFUSED, check_directive

# Of everything that some directive takes, and what looks like it.
_WORDS = """
    yes no 1 0 on off true FALSE y infinity 50% 1.5% 100% 0% 150% 1G 1.5G 1K 1KB 100 -5 +5 -20 19 20
    40 41 00 010 5s 1min 1d 0.5s 1h30min .5s 5. 1..5s 1.5.5s 9999999999h 584542y 1M 1m 1us 1µs 2days
    infinity 99999999999s SIGTERM term sigterm TERM SIGRTMIN+3 rtmin+3 RTMAX-1 15 64 65 0-3 0,2
    0,2,4-5 3-0 8191 8192 0- 0,,2 0, /a -/a +/a -+/a /a:/b /a:/b:rbind /a: /a::x |/a !/a |!/a !|/a
    /a/.. /../a //a /./a / . .. a/b ~eth0 eth0 %i %% % %h/a %t/a /%i %%/a 100%% /a%i %i/a %n any tcp
    tcp:80 ipv4:tcp:80 ipv6:udp:1-2 80-90 90-80 0080 10.0.0.0/8 10.0.0.1/8 ::1 fd00::/8 localhost
    1.2.3.4/32 1.2.3.4/33 1.2.3 ::/129 ::1%eth0 010.1.1.1 1.2.3.4/032 multicast link-local ANY
    0.0.0.0/0 char-drm block-loop char-* /dev/kvm /dev/sda /dev/net/tun idle auto none realtime
    best-effort other ext always on-failure mixed control-group closed strict kill stop continue
    inherit private shared read-only tmpfs disconnected avoid omit inactive inactive-or-failed
    a.service a-b.slice -.slice a--b.slice a@b.service a@.service @.service a@%i.service a.mount foo
    a.conf 18446744073709551615 9999999999999999999 999999999999999E 99999999999E 999999999999999
    1e3 0x10 -0 +0 2:1 1:2 infinity:1 1:infinity 2K:1K 1K:2K 2min:1min 1s:2s -5:5 5:-5 +5:-5 -5:+5
    30:40 40:30 io io,cpu cpuset A=b A=\\x41 A=\\x00 A=\\u0000 A=\\x01 A=\\777 A=\\q FOO 0022 77777
    7 255 256 1:1 143 SIGKILL EXIT_FAILURE TEMPFAIL /bin/true -/bin/true true @/bin/true :/bin/true
    +/bin/true !/bin/true !!/bin/true -@:/bin/true /bin/sh; ; \\; ${A} $A "/a /a\\
    a.service,b.service @/bin/true
"""
_SEEDS = (
    *_WORDS.split(),
    "/dev/kvm rw",
    "/dev/kvm  rw",
    "/dev/kvm rwx",
    "char-* rw",
    "/dev/sda 10M",
    "/dev/sda 10",
    "/dev/sda 10001",
    '"/dev/a b" 10M',
    '"/dev/a b" rw',
    "/dev/a b rw",
    "/a /b",
    '"/a b"',
    "'/a b' /c",
    "/a\\ b",
    "0 2",
    "0, 2",
    "a.service b.service",
    "A=1 B=2",
    '"A=1 2"',
    "A=1 =b",
    "A=1 FOO",
    "io cpu",
    "tcp:80 udp:90",
    "1min 30s",
    "1 min",
    "5 5",
    "eth0 eth1",
    "~eth0 eth1",
    "eth0 ~eth1",
    "1 2 SIGKILL",
    "10.0.0.0/8 ::1",
    "/bin/sh -c 'exit 1'",
    "/bin/true ; /bin/false",
    "@/bin/true x",
    "1G 2G",
    "1 G",
)
_MORE = (
    "\u00a0",
    "\u2003",
    "\\",
    "\\x41",
    "%i",
    "%%",
    "é",
    ",",
    ":",
    '"',
    "'",
    " x",
    "\t",
    "\u2028",
    "+",
    "/..",
)


class Line(NamedTuple):
    """An assignment that unitgen takes for a sound one."""

    section: str
    name: str
    value: str


def change_value(value: str) -> Iterator[str]:
    """The value, and what looks like it."""
    yield value
    for text in _MORE:
        yield from (value + text, text + value, value.replace(" ", text), value[:2] + text + value[2:])
    yield from (value.upper(), value.lower(), f'"{value}"', f"'{value}'", f"{value} {value}", f"~{value}")
    yield from (value.replace("s", "ſ", 1), value.replace("S", "ſ", 1), value.replace("1", "١"), f"-{value}")


def accepts(section: str, name: str, value: str) -> bool:
    """True if unitgen has nothing against a value."""
    if not value or escape.FORBIDDEN.search(value) or has_inline_comment(value):
        return False
    try:
        check_directive(section, name, value)
    except BadValue:
        return False
    return True


@cache
def list_lines(version: int) -> tuple[Line, ...]:
    """Everything to be tried on a systemd of this version."""
    checked = {*SINGLE, *LISTS}
    return tuple(
        Line(section, name, value)
        for section in ("Unit", "Service")
        for name, since in DIRECTIVES[section].items()
        if name in checked and since <= version and not {(section, name)} & {*REFUSED, *NO_EFFECT}
        for value in _list_values(section, name)
        if NEWER.get(name, {}).get(value, 0) <= version
    )


def _list_values(section: str, name: str) -> list[str]:
    """All seeds that fit, and some of what they are changed to; fewer commands, as a wrong one ends it."""
    seeds = [value for value in dict.fromkeys(_SEEDS) if accepts(section, name, value)]
    changed = dict.fromkeys(text.strip(BLANKS) for value in seeds for text in change_value(value))
    more = [value for value in changed if value not in seeds and accepts(section, name, value)]
    most = 20 if name.startswith("Exec") else 150
    return [*_thin(seeds, most), *_thin(more, most)]


def _thin(values: list[str], most: int) -> list[str]:
    return values[:: len(values) // most + 1]


def write_unit(lines: Iterable[Line]) -> str:
    """A unit with each line as unitgen writes it, under a section of its own: in lines 4, 6 and so on."""
    text = "".join(f"[{section}]\n{name}={escape.native(value)}\n" for section, name, value in lines)
    return f"[Service]\nExecStart=/bin/true\n{text}"


def read_verdicts(lines: tuple[Line, ...], report: str, unit: str) -> tuple[dict[Line, str], int]:
    """What systemd-analyze says against which line, and how many lines it has read.

    A fault that makes it refuse the unit is the last thing that it says.
    """
    found: dict[Line, str] = {}
    last = -1
    for match in re.finditer(rf"{re.escape(unit)}:(\d+): (.*)", report):
        last = int(match[1]) // 2 - 2
        found[lines[last]] = match[2]
    fatal = "bad unit file setting" in report
    return found, last + 1 if fatal else len(lines)


def group(verdicts: Mapping[Line, str]) -> dict[str, list[tuple[str, str]]]:
    """Values and what is said against them, by directive."""
    found: dict[str, list[tuple[str, str]]] = {}
    for line, message in verdicts.items():
        found.setdefault(line.name, []).append((line.value, message))
    return found
