"""One file to its assignments, in order, with line numbers. The only importer of configobj.

configobj reads sections and `key = value` lines. Its own dialect differs from systemd.syntax(7): it
refuses repeated keys and sections, has no continuation lines, strips `# text` after a value, and gives
triple quotes and `[[...]]` a meaning. So the lines are bridged on their way in: every section and key
gets its line number as a suffix, which makes it unique and keeps the number, and every value gets a
guard character in front.
"""

from typing import NamedTuple

from configobj import ConfigObj

from unitgen.errors import Problem, cap_problems
from unitgen.escape import FORBIDDEN

MAX_LINE = 1024 * 1024  # systemd: LONG_LINE_MAX
MAX_LINES = 20_000
MAX_SETTINGS = 2_000
_BLANKS = " \t"
_GUARD = "|"
_NAME_CHARS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-")


class Assignment(NamedTuple):
    """`key = value` as written: comments, continuation and blanks around it are gone, quotes are not."""

    section: str
    key: str
    value: str
    path: str
    line: int


class Section(NamedTuple):
    """A section header, in the order of the file."""

    name: str
    path: str
    line: int


class Document(NamedTuple):
    """What one file says, and what is wrong with its syntax."""

    sections: tuple[Section, ...]
    assignments: tuple[Assignment, ...]
    problems: tuple[Problem, ...]


class _Line(NamedTuple):
    number: int
    text: str


def parse_document(data: bytes, path: str) -> Document:
    """Split a file into assignments; every line that is wrong becomes a problem, the rest is kept."""
    problems: list[Problem] = []
    lines = _join_continued(_decode_lines(data, path, problems))
    parsed = ConfigObj(_bridge(lines, path, problems), list_values=False, interpolation=False, _inspec=True)
    sections: list[Section] = []
    assignments: list[Assignment] = []
    for tagged_section, body in parsed.items():
        name, _, number = tagged_section.partition(":")
        sections.append(Section(name, path, int(number)))
        for tagged_key, guarded in body.items():
            key, _, number = tagged_key.partition(":")
            value = guarded.removeprefix(_GUARD)
            assignments.append(Assignment(name, key, value, path, int(number)))
            problems += _check_inline_comment(assignments[-1])
    problems.sort(key=lambda problem: problem.line)
    return Document(tuple(sections), tuple(assignments), tuple(cap_problems(problems, path)))


def _decode_lines(data: bytes, path: str, problems: list[Problem]) -> list[_Line]:
    if data.count(b"\n") > MAX_LINES:
        message = f"the file has more than {MAX_LINES} lines"
        problems.append(Problem("too-long", path, message, "shorten it"))
        return []
    lines = []
    for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        problem, text = _decode_line(raw.removesuffix(b"\r"))
        if problem:
            code, message, hint = problem
            key = raw[:64].partition(b"=")[0].strip().decode("ascii", "ignore")
            key = key if len(key) < 64 and _is_name(key) else ""
            problems.append(Problem(code, path, message, hint, number, key=key))
            text = "#"
        lines.append(_Line(number, text))
    return lines


def _decode_line(raw: bytes) -> tuple[tuple[str, str, str] | None, str]:
    if len(raw) > MAX_LINE:
        return ("too-long", "the line is longer than 1 MiB, the most systemd reads", "shorten it"), ""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = raw[error.start]
        return (
            "encoding",
            f"byte 0x{byte:02x} at column {error.start + 1} is not UTF-8",
            "save it as UTF-8",
        ), ""
    found = None if text.isprintable() else FORBIDDEN.search(text)
    if found:
        where = f"at column {found.start() + 1}"
        if found[0] > "\x7f":
            return ("encoding", f"U+{ord(found[0]):04X} {where} is no character", "remove it"), ""
        what = {"\0": "a NUL byte", "\r": "a carriage return"}.get(
            found[0], f"control character 0x{ord(found[0]):02x}"
        )
        return ("control-character", f"{what} {where}", "remove it"), ""
    return None, text


def _join_continued(lines: list[_Line]) -> list[_Line]:
    """Join lines that end in an odd number of backslashes; comments in between are skipped."""
    joined: list[_Line] = []
    parts: list[str] = []
    first = 0
    for number, text in lines:
        bare = text.strip(_BLANKS)
        if bare.startswith(("#", ";")) or not (bare or parts):
            continue
        first = first if parts else number
        if (len(text) - len(text.rstrip("\\"))) % 2:
            parts.append(text[:-1] + " ")
        else:
            joined.append(_Line(first, "".join([*parts, text])))
            parts = []
    return [*joined, _Line(first, "".join(parts))] if parts else joined


def _bridge(lines: list[_Line], path: str, problems: list[Problem]) -> list[str]:
    """The same lines in configobj's dialect; lines that are no syntax become problems."""
    bridged: list[str] = []
    in_section = skipping = False
    if len(lines) > MAX_SETTINGS:
        message = f"the file has more than {MAX_SETTINGS} settings"
        problems.append(Problem("too-long", path, message, "shorten it", lines[MAX_SETTINGS].number))
        lines = []
    for number, raw in lines:
        text = raw.strip(_BLANKS)
        fault = _find_fault(text, in_section or skipping)
        if fault:
            code = "syntax" if len(text) <= MAX_LINE else "too-long"
            problems.append(Problem(code, path, *fault, number))
        if text.startswith("["):
            skipping = bool(fault)
            in_section = not fault
            if in_section:
                bridged.append(f"[{text[1:-1].strip(_BLANKS)}:{number}]")
        elif not fault and in_section:
            key, _, value = text.partition("=")
            bridged.append(f"{key.rstrip(_BLANKS)}:{number}={_GUARD}{value.strip(_BLANKS)}")
    return bridged


def _find_fault(text: str, in_section: bool) -> tuple[str, str] | None:
    shown = text if len(text) <= 40 else text[:40] + "..."
    if len(text) > MAX_LINE:
        return "the continued line is longer than 1 MiB, the most systemd reads", "shorten it"
    if text.startswith("["):
        if text.endswith("]") and _is_name(text[1:-1].strip(_BLANKS)):
            return None
        return f"{shown!r} is no section header", "write [Section] on a line of its own"
    key, equals, _ = text.partition("=")
    key = key.rstrip(_BLANKS)
    if not equals:
        return f"{shown!r} is neither a section nor a setting", "write Key=value, or # in front of a comment"
    if not _is_name(key):
        return f"{key[:40]!r} is no key", "keys are letters, digits and -"
    if not in_section:
        return f"{key}= stands before the first section", "put a [Section] above it"
    return None


def _is_name(text: str) -> bool:
    return bool(text) and _NAME_CHARS.issuperset(text)


def _check_inline_comment(assignment: Assignment) -> list[Problem]:
    if not has_inline_comment(assignment.value):
        return []
    message = "an unquoted # after the value: systemd takes it as part of the value"
    hint = "put the comment on its own line; a # of the value itself needs quotes, where the key takes them"
    where = assignment.path, message, hint, assignment.line, assignment.section, assignment.key
    return [Problem("inline-comment", *where)]


def has_inline_comment(value: str) -> bool:
    """True if a blank and `#` stand outside quotes; an unbalanced quote counts as an apostrophe."""
    if "#" not in value:
        return False
    quote = ""
    outside = []
    for char in value:
        outside.append("x" if quote else char)
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
    text = value if quote else "".join(outside)
    return " #" in text or "\t#" in text or text.startswith("#")
