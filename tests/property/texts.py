"""Hostile text, and values of every key for it to be put into."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import NamedTuple

from hypothesis import strategies as st

from tests.conftest import GOLDEN
from tests.property.reader import read_unit
from unitgen.errors import BadValue
from unitgen.keys import KEYS
from unitgen.native import DIRECTIVES, REFUSED, RENAMED, check_directive
from unitgen.schema import Key

FRAGMENTS = (
    *(
        "\\",
        "\\\\",
        '"',
        "'",
        "''",
        "\"'",
        "%",
        "%%",
        "%i",
        "%n%h",
        "$",
        "$$",
        "$HOME",
        "${HOME}",
        "$MAINPID",
    ),
    *(
        ";",
        " ; ",
        " \\; ",
        "#",
        " #",
        "\t#",
        "=",
        ",",
        ":",
        "\\:",
        "~",
        "!",
        "|",
        "@",
        "-",
        "+",
        "--",
        " -- ",
    ),
    *(
        "/",
        "//",
        "/../",
        "/./",
        "..",
        "*?",
        "[Service]",
        "]",
        "{{ machine }}",
        "{%",
        "{#",
        "<",
        ">",
        "&",
        "`id`",
    ),
    *(
        "\\n",
        "\\x41",
        "\\x00",
        "\\u0041",
        "\\101",
        "\\s",
        "\\q",
        "\\x",
        "x" * 70,
        "0",
        "1",
        "-1",
        "99999999999",
    ),
    *(
        " ",
        "  ",
        "\t",
        "a b",
        "\u00a0",
        "\u2003",
        "\u2028",
        "\x85",
        "\ufeff",
        "\u202e",
        "é",
        "☃",
        "\U0001f600",
    ),
    *(
        "\r",
        "\0",
        "\x01",
        "\x0b",
        "\x0c",
        "\x1b[31m",
        "\x7f",
        "\ud800",
        "\udcff",
        "\ufdd0",
        "\uffff",
        "\U0010ffff",
    ),
    *("\rExecStart=/bin/evil", "\0ExecStart=/bin/evil", "\\\rExecStart=/bin/evil", " --bind=/:/host"),
    *("' --bind=/:/host '", '" --bind=/:/host "', "%(user)s", "nsenter", "/bin/sh -c 'id'"),
)

piece = st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=4), st.characters(codec=None))
line_piece = piece.map(lambda text: text.replace("\n", "\\"))
hostile_line = st.lists(line_piece, min_size=1, max_size=5).map("".join)
"""Text without a line feed: in a spec that is the end of a value, and not a part of it."""
hostile_text = st.lists(st.one_of(piece, st.just("\n")), max_size=12).map("".join)


class Change(NamedTuple):
    """Hostile text and what is done with it to a value that is sound."""

    name: str
    text: str
    apply: Callable[[str, str], str]


WAYS: Mapping[str, Callable[[str, str], str]] = {
    "replace": lambda value, text: text,
    "before": lambda value, text: text + value,
    "after": lambda value, text: value + text,
    "inside": lambda value, text: value[: len(value) // 2] + text + value[len(value) // 2 :],
    "quoted": lambda value, text: f'"{value}{text}"',
    "single": lambda value, text: f"'{value}{text}'",
    "further": lambda value, text: f"{value} {text}",
}
changes = st.builds(
    lambda name, text: Change(name, text, WAYS[name]), st.sampled_from(sorted(WAYS)), hostile_line
)


def encode(text: str) -> bytes:
    """The bytes of a file; what is no character becomes what is no UTF-8."""
    return text.encode("utf-8", "surrogatepass")


@cache
def read_examples() -> Mapping[tuple[str, str], tuple[str, ...]]:
    """Values of every key that the golden cases have, by section and key."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for path in sorted(GOLDEN.glob("*/root/**/*.ini")):
        if path.is_file() and not path.match("09-broken/**/*") and "09-broken" not in path.parts:
            for section, key, value in read_unit(path.read_bytes()).entries:
                if value:
                    found.setdefault((section, key), {})[value] = None
    return {key: tuple(values) for key, values in found.items()}


def find_example(row: Key) -> str:
    """A sound value of a key."""
    return read_examples().get(row.id, (row.default,))[0]


ROWS = tuple(KEYS.values())
_POOL = (
    *(
        "yes",
        "1",
        "/srv",
        "50%",
        "5s",
        "SIGTERM",
        "0-1",
        "10.0.0.0/8",
        "a.service",
        "1:2",
        "/dev/sda 10M",
        "/dev/sda 100",
        "auto",
    ),
    *(
        "a.slice",
        "a.socket",
        "/dev/kvm rw",
        "tcp:80",
        "idle",
        "none",
        "closed",
        "mixed",
        "no",
        "inherit",
        "0022",
        "io",
        "A=b",
    ),
    *("inactive", "kill", "continue", "512"),
)


@cache
def list_natives() -> Mapping[tuple[str, str], str]:
    """A sound value for every directive that is passed through."""
    found = {}
    for section in ("Unit", "Service"):
        for name in (*DIRECTIVES[section], *(old for home, old in RENAMED if home == section)):
            if (section, name) not in REFUSED:
                found[section, name] = _find_native(section, name)
    return found


def _find_native(section: str, name: str) -> str:
    known, translate = RENAMED.get((section, name), (name, str))
    for value in (*read_examples().get((section, name), ()), *_POOL):
        try:
            check_directive(section, known, translate(value))
        except BadValue:
            continue
        return value
    raise AssertionError(f"no value in the pool suits {name}=")
