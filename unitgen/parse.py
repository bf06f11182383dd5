"""Assignments of all files of a container to one Spec, with every problem there is."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from unitgen.errors import BadValue, Problem, cap_problems
from unitgen.ini import Assignment, Document, Section, parse_document
from unitgen.keys import KEYS, SECTIONS
from unitgen.model import Setting, Spec, Value
from unitgen.native import (
    DIRECTIVES,
    NO_EFFECT,
    REFUSED,
    RENAMED,
    RESET_FAMILIES,
    check_directive,
    is_single,
)
from unitgen.sources import Source
from unitgen.suggestion import suggest
from unitgen.values import split_blanks

_LONGEST_VALUE = 128 * 1024 - 64  # MAX_ARG_STRLEN of the kernel, less what the option itself takes
_MOST_WORDS = 5000
# Where each word costs time or a rule of the firewall. Blanks elsewhere may belong to a path or to text.
_LISTS = frozenset(
    [
        *(("Files", key) for key in ("BindUser", "BindUserGroup", "Overlay", "OverlayReadOnly")),
        *(("Service", key) for key in ("IPAddressAllow", "IPAddressDeny")),
        *(key for key, row in KEYS.items() if row.many and key[0] != "Files" and "Credential" not in key[1]),
        *(("Network", key) for key in ("Address", "Gateway", "Pool", "BridgeAddress")),
        *(("Install", key) for key in DIRECTIVES["Install"]),
    ]
)
_QUOTED = re.compile("\"[^\"]*\"|'[^']*'")


class _Entry(NamedTuple):
    value: Value
    raw: str
    place: tuple[str, int]


class _Collector:
    """What the assignments so far amount to, in an order that means the same to systemd.

    A single value moves to the end when it is assigned again, because of directives that overlap, as
    TimeoutSec= and TimeoutStopSec= do. A list keeps its place, because of resets that reach further than
    their own directive, as an empty Condition*= takes all conditions back.
    """

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], list[_Entry]] = {}
        self._counts: dict[tuple[str, str], int] = {}

    def has_room(self, key: tuple[str, str], value: str, *, append: bool) -> bool:
        """True if the words of a value, which is not parsed yet, are not too many with those before it."""
        if key not in _LISTS:
            return True
        count = _count_words(key[1], value) + (self._counts.get(key, 0) if append else 0)
        if count <= _MOST_WORDS:
            self._counts[key] = count
        return count <= _MOST_WORDS

    def add(self, key: tuple[str, str], entry: _Entry, *, append: bool) -> None:
        if append:
            self._entries.setdefault(key, []).append(entry)
        else:
            self.reset(key)
            self._entries[key] = [entry]

    def reset(self, key: tuple[str, str]) -> None:
        family = next((family for family in RESET_FAMILIES if key[1].startswith(family)), None)
        for other in [other for other in self._entries if family and other[1].startswith(family)]:
            del self._entries[other]
        self._entries.pop(key, None)
        self._counts.pop(key, None)

    def finish(self) -> dict[tuple[str, str], Setting]:
        return {key: Setting(*key, *zip(*entries, strict=True)) for key, entries in self._entries.items()}


def parse_source(
    source: Source, shared: dict[str, Document] | None = None
) -> tuple[Spec, tuple[Problem, ...]]:
    """Merge the files of a container, weakest first: later wins for single keys, lists grow, empty resets.

    `shared` keeps the documents of files that several containers have, by path. The Spec holds what could be
    read, also where there are problems; it may be used only if none of them is an error.
    """
    shared = {} if shared is None else shared
    collector = _Collector()
    problems = list(source.problems)
    for path, data in source.contents:
        if path not in shared:
            shared[path] = parse_document(data, path)
        problems += cap_problems(_apply_document(shared[path], collector), path)
    files = tuple(path for path, _ in source.contents)
    return Spec(source.name, source.path, files, collector.finish()), tuple(problems)


def _apply_document(document: Document, collector: _Collector) -> Iterator[Problem]:
    yield from document.problems
    yield from _check_sections(document.sections)
    spoiled = {problem.line for problem in document.problems}
    for assignment in document.assignments:
        if assignment.line not in spoiled:
            yield from _apply(assignment, collector)


def _check_sections(sections: Iterable[Section]) -> Iterator[Problem]:
    known = (*SECTIONS, *DIRECTIVES)
    for section in sections:
        if section.name in known or section.name.startswith("X-"):
            continue
        near = suggest(section.name, known)
        hint = f"did you mean [{near}]?" if near else f"sections are {', '.join(known)}"
        yield Problem(
            "unknown-section", section.path, "there is no such section", hint, section.line, section.name
        )


def _apply(assignment: Assignment, collector: _Collector) -> Iterator[Problem]:
    section, key = assignment.section, assignment.key
    if key.startswith("X-") or section.startswith("X-"):
        return
    if section in DIRECTIVES:
        yield from _apply_native(assignment, collector)
    elif section in SECTIONS:
        yield from _apply_own(assignment, collector)


def _apply_own(assignment: Assignment, collector: _Collector) -> Iterator[Problem]:
    row = KEYS.get((assignment.section, assignment.key))
    if not row:
        names = (name for known, name in KEYS if known == assignment.section)
        yield _problem(assignment, "unknown-key", "there is no such key", _hint_key(assignment, names))
    elif not assignment.value:
        collector.reset(row.id)
    elif len(assignment.value.encode()) > _LONGEST_VALUE:
        message = "the value is longer than 128 KiB, the most the kernel passes to a program"
        yield _problem(assignment, "too-long", message, "shorten it or use several lines")
    elif not collector.has_room(row.id, assignment.value, append=row.many):
        yield _complain_of_words(assignment)
    else:
        try:
            value = row.type.parse(assignment.value)
        except BadValue as error:
            yield _problem(assignment, "bad-value", str(error), error.hint)
        else:
            collector.add(row.id, _entry(assignment, value, assignment.value), append=row.many)


def _entry(assignment: Assignment, value: Value, raw: str) -> _Entry:
    return _Entry(value, raw, (assignment.path, assignment.line))


def _apply_native(assignment: Assignment, collector: _Collector) -> Iterator[Problem]:
    section, name, value = assignment.section, assignment.key, assignment.value
    try:
        if (section, name) in RENAMED:
            name, translate = RENAMED[section, name]
            value = translate(value) if value else value
        if (section, name) in REFUSED:
            yield _problem(assignment, "refused-key", *REFUSED[section, name])
            return
        if (section, name) in NO_EFFECT:
            return
        if name not in DIRECTIVES[section]:
            hint = _hint_key(assignment, DIRECTIVES[section])
            yield _problem(assignment, "unknown-key", "systemd has no such directive", hint)
            return
        if not collector.has_room((section, name), value, append=not is_single(name)):
            yield _complain_of_words(assignment)
            return
        if value:
            check_directive(section, name, value)
    except BadValue as error:
        yield _problem(assignment, "bad-value", str(error), error.hint)
        return
    if name != assignment.key:
        message, hint = f"is now called {name}=, taken as {value!r}", f"write {name}={value}"
        yield _problem(assignment, "renamed-key", message, hint)._replace(severity="warning")
    # An empty assignment resets what came before, here and in the unit: it is passed on as well.
    collector.add(
        (section, name), _entry(assignment, value, value), append=bool(value) and not is_single(name)
    )


def _count_words(key: str, value: str) -> int:
    return value.count(":") if key.startswith("Overlay") else len(split_blanks(_QUOTED.sub("x", value)))


def _complain_of_words(assignment: Assignment) -> Problem:
    message = f"more than {_MOST_WORDS} words in a list, those of earlier lines among them"
    return _problem(assignment, "too-long", message, "write fewer, as one network for many addresses")


def _hint_key(assignment: Assignment, names: Iterable[str]) -> str:
    near = suggest(assignment.key, names)
    if near:
        return f"did you mean {near}=?"
    homes = [f"[{section}]" for section, name in KEYS if name == assignment.key]
    homes += [f"[{section}]" for section, known in DIRECTIVES.items() if assignment.key in known]
    if homes:
        return f"it belongs in {' or '.join(homes)}"
    return "unitgen.ini(5) lists the keys of every section"


def _problem(assignment: Assignment, code: str, message: str, hint: str) -> Problem:
    place = assignment.line, assignment.section, assignment.key
    return Problem(code, assignment.path, message, hint, *place)
