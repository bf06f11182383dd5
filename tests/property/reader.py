"""Reads units as systemd does, written anew after its sources and not after unitgen's.

config_parse() of src/shared/conf-parser.c, extract_first_word() of src/basic/extract-word.c, cunescape() of
src/basic/escape.c and replace_env() of src/basic/env-util.c. It is strict: what systemd would only warn of,
or what would be a specifier, a variable or a second command, is an error here.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

BLANKS = " \t"
_ENDS = "\n\r\0"
_SIMPLE = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, '"': 34, "'": 39, "s": 32}
_CODED = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})")
_LONGEST = 1024 * 1024


class Unclean(Exception):
    """Something that systemd warns of, ignores, or takes for more than it looks like."""


class Entry(NamedTuple):
    """`key=value` of a section."""

    section: str
    key: str
    value: str


class Unit(NamedTuple):
    """What a file says: its section headers in order, and all assignments."""

    sections: tuple[str, ...]
    entries: tuple[Entry, ...]

    def values(self, section: str, key: str) -> list[str]:
        """All values of a directive, in order."""
        return [entry.value for entry in self.entries if entry[:2] == (section, key)]

    def names(self) -> list[tuple[str, str]]:
        """Section and directive of every assignment, in order."""
        return [(entry.section, entry.key) for entry in self.entries]


def read_unit(data: bytes) -> Unit:
    """The assignments of a unit or a spec. Raises Unclean."""
    sections: list[str] = []
    entries: list[Entry] = []
    for line in _join_lines(_split_lines(_decode(data))):
        if line.startswith("["):
            if not line.endswith("]"):
                raise Unclean(f"invalid section header {line!r}")
            sections.append(line[1:-1])
            continue
        key, equals, value = line.partition("=")
        if not equals or not key or not sections:
            raise Unclean(f"no assignment in a section: {line!r}")
        entries.append(Entry(sections[-1], key.rstrip(BLANKS), value.strip(BLANKS)))
    return Unit(tuple(sections), tuple(entries))


def _decode(data: bytes) -> str:
    try:
        return data.removeprefix(b"\xef\xbb\xbf").decode()
    except UnicodeDecodeError as error:
        raise Unclean("not UTF-8") from error


def _split_lines(text: str) -> Iterator[str]:
    """read_line(): CR, LF and NUL end a line, and one of each kind together count as one end."""
    line: list[str] = []
    seen: set[str] = set()
    for char in text:
        if char in _ENDS and char not in seen:
            if not seen:
                yield "".join(line)
                line = []
            seen.add(char)
        elif char in _ENDS:
            yield ""
            seen = {char}
        else:
            seen = set()
            line.append(char)
    yield "".join(line)


def _join_lines(lines: Iterator[str]) -> Iterator[str]:
    joined = ""
    for line in lines:
        if line.lstrip(BLANKS).startswith(("#", ";")):
            continue
        _check_characters(line)
        joined += line
        if len(joined.encode()) > _LONGEST:
            raise Unclean("line too long")
        if _ends_escaped(joined):
            joined = joined[:-1] + " "
            continue
        if joined.strip(BLANKS):
            yield joined.strip(BLANKS)
        joined = ""
    if joined.strip(BLANKS):
        yield joined.strip(BLANKS)


def _ends_escaped(text: str) -> bool:
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1


def _check_characters(text: str) -> None:
    """utf8_is_valid(), by which noncharacters are not."""
    for char in text:
        if 0xFDD0 <= ord(char) <= 0xFDEF or ord(char) & 0xFFFE == 0xFFFE:
            raise Unclean(f"U+{ord(char):04X} is not valid to systemd")


def _take_escape(text: str, place: int) -> tuple[str, int]:
    """cunescape_one(): the character for what follows a backslash, and where it ends."""
    simple = _SIMPLE.get(text[place : place + 1])
    if simple:
        return chr(simple), place + 1
    match = _CODED.match(text, place)
    if not match:
        raise Unclean(f"unknown escape at {text[place - 1 :]!r}")
    code = int(match[4], 8) if match[4] else int(match[1] or match[2] or match[3], 16)
    if code == 0 or (code > 0x7F and (match[1] or match[4])) or 0xD800 <= code < 0xE000 or code > 0x10FFFF:
        raise Unclean(f"escape of no character at {text[place - 1 :]!r}")
    return chr(code), match.end()


class Word(NamedTuple):
    """A word without its quotes; `bare` is true if it had neither quotes nor escapes."""

    text: str
    bare: bool


def split_words(value: str, escapes: str) -> list[Word]:
    """extract_first_word() with EXTRACT_UNQUOTE.

    `escapes` is "c" for EXTRACT_CUNESCAPE, "plain" for a backslash that stands for the next character, and
    "retain" for EXTRACT_RETAIN_ESCAPE.
    """
    words: list[Word] = []
    word: list[str] | None = None
    quote, bare, place = "", True, 0
    while place < len(value):
        char = value[place]
        place += 1
        if char in BLANKS and not quote:
            if word is not None:
                words.append(Word("".join(word), bare))
            word, bare = None, True
            continue
        word = [] if word is None else word
        if char == "\\" and escapes != "retain":
            bare = False
            found, place = _take_escape(value, place) if escapes == "c" else _take_next(value, place)
            word.append(found)
        elif char == quote or (char in "\"'" and not quote):
            quote, bare = "" if quote else char, False
        else:
            word.append(char)
    if quote:
        raise Unclean(f"a quote is never closed: {value!r}")
    return words if word is None else [*words, Word("".join(word), bare)]


def _take_next(value: str, place: int) -> tuple[str, int]:
    if place >= len(value):
        raise Unclean("a backslash at the end")
    return value[place], place + 1


def resolve_percent(text: str) -> str:
    """What specifiers are resolved in; only the doubled percent sign is accepted."""
    if "%" in text.replace("%%", ""):
        raise Unclean(f"a specifier in {text!r}")
    return text.replace("%%", "%")


def resolve_dollar(text: str) -> str:
    """replace_env_argv(); only the doubled dollar sign is accepted."""
    if "$" in text.replace("$$", ""):
        raise Unclean(f"a variable in {text!r}")
    return text.replace("$$", "$")


def read_command(value: str) -> list[str]:
    """The arguments of one command of an Exec line, as the program gets them."""
    argv = []
    for word in split_words(value, "c"):
        if word == Word(";", True):
            raise Unclean("a second command")
        argv.append(resolve_percent(word.text))
    if not argv or argv[0].startswith(tuple("-@:+!|")):
        raise Unclean("a prefix, or no program")
    return [argv[0], *map(resolve_dollar, argv[1:])]


def read_environment(value: str) -> list[str]:
    """The assignments of Environment=."""
    found = [resolve_percent(word.text) for word in split_words(value, "c")]
    for assignment in found:
        if not re.match("[A-Za-z_][A-Za-z0-9_]*=", assignment):
            raise Unclean(f"no assignment: {assignment!r}")
    return found


def read_paths(value: str) -> list[str]:
    """RequiresMountsFor= and DeviceAllow=: words without C escapes."""
    return [resolve_percent(word.text) for word in split_words(value, "plain")]


def read_parameters(value: str) -> list[str]:
    """Parameters= and Environment= of systemd.nspawn(5): words in which a backslash is itself."""
    return [word.text for word in split_words(value, "retain")]


def read_input_text(value: str) -> str:
    """StandardInputText=: C escapes and specifiers, no quotes."""
    found: list[str] = []
    place = 0
    while place < len(value):
        char = value[place]
        place += 1
        if char == "\\":
            char, place = _take_escape(value, place)
        found.append(char)
    return resolve_percent("".join(found))
