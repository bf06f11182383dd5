"""Paths and devices in native directives: what systemd takes for absolute and sound, and what it ignores."""

import re
from collections.abc import Callable

from unitgen.amounts import SIZE_PATTERN, measure_size
from unitgen.errors import BadValue
from unitgen.mounts import split_fields
from unitgen.values import parse_number, refuse_open_backslash, split_words

# Specifiers that stand for absolute paths.
_ABSOLUTE = "CcdEfhLsStTVYy"


def split_unescaped(text: str) -> list[str]:
    """Words as EXTRACT_UNQUOTE leaves them: a backslash makes the next character an ordinary one."""
    words = split_words(text, escapes=True)
    refuse_open_backslash(text, "value")
    if re.search(r"%\\[A-Za-z0-9]", text):
        raise BadValue("a backslash stands between % and its letter", "write %% for a percent sign")
    return [re.sub(r"\\(.)", r"\1", word) for word in words]


def check_path(path: str, shown: str, hint: str = "begin it with /, and leave out ..") -> None:
    """Absolute from the start; %% is a percent sign, and %i, %n and the like begin no path."""
    # What a specifier stands for beside .. is not known here.
    plain = re.sub("%[A-Za-z]", "", path)
    if not re.match(f"/|%[{_ABSOLUTE}]", path) or ".." in plain.split("/"):
        raise BadValue(f"{shown!r} is not an absolute path", hint)


def parse_paths(prefix: str, *, fields: bool = False) -> Callable[[str], str]:
    """A parser for paths, each after what `prefix` matches; with `fields` one colon or more may follow."""

    def parse(text: str) -> str:
        for word in split_unescaped(text):
            path = re.sub(f"^{prefix}", "", word)
            check_path(path.split(":")[0] if fields else path, word)
        return text

    return parse


def parse_bind_paths(text: str) -> str:
    """SOURCE[:DESTINATION[:OPTIONS]] ..., a colon in a path with a backslash."""
    # 262 reads other escapes as those of C, older ones drop the backslash.
    if "\\" in re.sub(r"\\[\\:]", "", text):
        raise BadValue(
            "a backslash stands before what needs none", r"write \\ for a backslash, \: for a colon"
        )
    for word in split_words(text, escapes=True):
        source, *rest = split_fields(word)
        check_path(source.removeprefix("-"), word)
        if rest:
            check_path(rest[0], word, "write SOURCE:DESTINATION, both with / at the beginning")
        if rest[1:] and ":".join(rest[1:]) not in ("", "rbind", "norbind"):
            raise BadValue(f"{word!r} has an unknown option", "write rbind or norbind after the paths")
    return text


def parse_path_line(prefix: str, hint: str) -> Callable[[str], str]:
    """A parser for one path to the end of the line: neither quotes nor backslashes mean anything."""

    def parse(text: str) -> str:
        check_path(re.sub(f"^{prefix}", "", text), text, hint)
        return text

    return parse


def parse_device_limit(text: str) -> str:
    """A device and the bytes, or operations, a second that are allowed there."""
    limit = _read_amount(text, "limit", "10M")
    if limit != "infinity":
        if not re.search("[1-9]", limit) or not SIZE_PATTERN.fullmatch(limit):
            raise BadValue(f"{limit!r} is not a limit", "write a number, with K, M, G or T if it is long")
        measure_size(limit, 1000)
    return text


def parse_device_weight(text: str) -> str:
    """A device and a weight."""
    parse_number(1, 10000)(_read_amount(text, "weight", "200"))
    return text


def _read_amount(text: str, what: str, example: str) -> str:
    """What stands after a device."""
    words = split_words(text, escapes=True)
    if len(words) != 2 or not words[0].startswith(("/", "%")):
        raise BadValue(f"{text!r} does not name a device and a {what}", f"write like /dev/sda {example}")
    _check_no_parent(words[0])
    return words[1]


def _check_no_parent(path: str) -> None:
    if ".." in re.sub("%[A-Za-z]", "", path).split("/"):
        raise BadValue(f"{path!r} contains ..", "write the path without it")


def parse_device(text: str) -> str:
    """A device node, or a group of /proc/devices, and what may be done with it."""
    match = re.fullmatch("(.*?)[ \t]+[rwm]+", text)
    words = split_unescaped(match[1] if match else text)
    node = re.sub("//+|/(\\./)+", "/", words[0]) if len(words) == 1 else ""
    if not re.fullmatch(r"(/dev|(/run|%t)/systemd/inaccessible)/.+|(char|block)-[A-Za-z0-9_./*?%-]+", node):
        hint = "write like /dev/kvm rw, or char-drm rw for a group of /proc/devices"
        raise BadValue(f"{text!r} does not name devices", hint)
    if node.startswith("/"):
        _check_no_parent(node)
    return text
