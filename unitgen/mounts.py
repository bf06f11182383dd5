"""Mount specifications of systemd.nspawn(5) [Files]: Bind=, TemporaryFileSystem=, Overlay=, ..."""

from functools import cache
from typing import NamedTuple

from unitgen.errors import BadValue
from unitgen.values import Type, parse_path

_BIND_OPTIONS = frozenset(("rbind", "norbind", "idmap", "noidmap", "rootidmap", "owneridmap"))
_BIND_HINT = "write SOURCE[:DESTINATION[:OPTIONS]], with \\: for a colon in a path"


MOUNTS_OF_HOST = ("Bind", "BindReadOnly", "Overlay", "OverlayReadOnly")
"""Keys of [Files] that show something of the host in the container."""


class Bind(NamedTuple):
    """The parts of a bind: `source` is empty for a scratch directory, +PATH for a path in the image."""

    source: str
    destination: str
    options: tuple[str, ...]


def split_fields(text: str) -> list[str]:
    """Fields separated by colons; a backslash makes the next character an ordinary one."""
    if "\\" not in text:
        return text.split(":")
    fields: list[list[str]] = [[]]
    chars = iter(text)
    for char in chars:
        if char == "\\":
            following = next(chars, None)
            if following is None:
                raise BadValue("a backslash ends the value", "write \\\\ for a backslash")
            fields[-1].append(following)
        elif char == ":":
            fields.append([])
        else:
            fields[-1].append(char)
    return ["".join(field) for field in fields]


@cache
def read_bind(text: str) -> Bind:
    """The parts of SOURCE[:DESTINATION[:OPTIONS]]; raises BadValue."""
    fields = split_fields(text)
    if len(fields) > 3 or not text:
        raise BadValue(f"{text!r} is not a bind mount", _BIND_HINT)
    source, destination, options = (*fields, "", "")[:3]
    if len(fields) == 1 and not source.startswith("/"):
        raise BadValue(f"{source!r} is not an absolute path", _BIND_HINT)
    _check_source(source)
    if len(fields) > 1:
        parse_path(destination)
    names = tuple(filter(None, options.split(",")))
    for name in names:
        if name not in _BIND_OPTIONS:
            hint = f"write one of {', '.join(sorted(_BIND_OPTIONS))}"
            hint = "use BindReadOnly= for a read-only mount" if name == "ro" else hint
            raise BadValue(f"{name!r} is not an option of a bind mount", hint)
    return Bind(source, destination or source, names)


def _check_source(source: str) -> None:
    path = source.removeprefix("+")
    if source and not path.startswith("/"):
        raise BadValue(
            f"{source!r} is not an absolute path", "begin it with /, or +/ for a path in the image"
        )
    if path:
        parse_path(path)


def parse_bind(text: str) -> str:
    """The value as it is: --bind= and Bind= have one syntax (systemd-nspawn(1))."""
    read_bind(text)
    return text


def parse_tmpfs(text: str) -> str:
    """PATH[:OPTIONS]; the options go to the kernel as they are."""
    fields = split_fields(text)
    if not text.startswith("/"):
        raise BadValue(
            f"{text!r} is not an absolute path", "write /PATH or /PATH:OPTIONS, as /tmp:mode=1777"
        )
    parse_path(fields[0])
    return text


def parse_overlay(text: str) -> str:
    """LOWER[:LOWER...]:UPPER:DESTINATION, or two fields for upper and destination alike."""
    fields = split_fields(text)
    if len(fields) < 2:
        raise BadValue(f"{text!r} names too few directories", "write LOWER:UPPER:DESTINATION")
    destination = parse_path(fields[-1])
    sources = fields[:-1] if len(fields) > 2 else fields
    if not all(sources[:-1]) or (len(fields) == 2 and not fields[0]):
        # Only the upper directory may be empty: then it is a scratch one.
        raise BadValue(f"{text!r} leaves a lower directory empty", "write LOWER:UPPER:DESTINATION")
    for source in sources:
        _check_source(source)
        if source and any(char in source for char in ":,\\"):
            # The kernel splits lowerdir= at these; systemd-nspawn does not escape them (tried up to 262).
            raise BadValue(
                f"the kernel cannot overlay a path with : , or \\, as {source!r}", "use another path"
            )
    if destination == "/":
        raise BadValue("the root directory cannot be overlaid", "use Volatile=overlay")
    return text


def find_target(section_key: str, value: str) -> str:
    """Where in the container a parsed value of [Files] `section_key` is mounted."""
    if section_key in ("Bind", "BindReadOnly"):
        return parse_path(read_bind(value).destination.removeprefix("+"))
    return parse_path(split_fields(value)[0]) if section_key == "TemporaryFileSystem" else parse_path(value)


def list_sources(section_key: str, value: str) -> tuple[str, ...]:
    """The host paths that a parsed value of [Files] `section_key` needs to exist."""
    if section_key in ("Bind", "BindReadOnly"):
        paths: tuple[str, ...] = (read_bind(value).source,)
    elif section_key in ("Overlay", "OverlayReadOnly"):
        fields = split_fields(value)
        paths = tuple(fields[:-1] if len(fields) > 2 else fields)
    else:
        paths = ()
    return tuple(parse_path(path) for path in paths if path.startswith("/"))


BIND = Type("SOURCE[:DESTINATION[:OPTIONS]]", parse_bind)
TMPFS = Type("PATH[:OPTIONS]", parse_tmpfs)
OVERLAY = Type("LOWER[:LOWER...]:UPPER:DESTINATION", parse_overlay)
