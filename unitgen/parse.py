"""Assignments of all files of a container to one Spec, with every problem there is."""

from collections.abc import Iterable

from unitgen.errors import BadValue, Problem
from unitgen.ini import Assignment, Document, Section, parse_document
from unitgen.keys import KEYS, SECTIONS
from unitgen.model import Setting, Spec, Value
from unitgen.native import DIRECTIVES, REFUSED, RENAMED, check_directive, is_single
from unitgen.schema import Key
from unitgen.sources import Source
from unitgen.suggestion import suggest

_MAX_SHOWN = 200
# Reading is the same for every container that shares a file (unitgen.conf, container.ini.d/).
_Settings = dict[tuple[str, str], Setting]


def parse_source(
    source: Source, shared: dict[str, Document] | None = None
) -> tuple[Spec, tuple[Problem, ...]]:
    """Merge the files of a container, weakest first: later wins for single keys, lists grow, empty resets.

    `shared` keeps the documents of files that several containers have, by path. The Spec holds what could be
    read, also where there are problems; it may be used only if none of them is an error.
    """
    shared = {} if shared is None else shared
    settings: _Settings = {}
    problems = list(source.problems)
    for path, data in source.contents:
        if path not in shared:
            shared[path] = parse_document(data, path)
        document = shared[path]
        problems += document.problems
        problems += _check_sections(document.sections)
        spoiled = {(problem.path, problem.line) for problem in document.problems}
        for assignment in document.assignments:
            if (assignment.path, assignment.line) not in spoiled:
                problems += _apply(assignment, settings)
    files = tuple(path for path, _ in source.contents)
    return Spec(source.name, source.path, files, settings), tuple(problems)


def _check_sections(sections: Iterable[Section]) -> list[Problem]:
    known = (*SECTIONS, *DIRECTIVES)
    problems = []
    for section in sections:
        if section.name in known or section.name.startswith("X-"):
            continue
        near = suggest(section.name, known)
        hint = f"did you mean [{near}]?" if near else f"sections are {', '.join(known)}"
        message = "there is no such section"
        problems.append(Problem("unknown-section", section.path, message, hint, section.line, section.name))
    return problems


def _apply(assignment: Assignment, settings: _Settings) -> list[Problem]:
    section, key = assignment.section, assignment.key
    if key.startswith("X-") or section.startswith("X-"):
        return []
    if section in DIRECTIVES:
        return _apply_native(assignment, settings)
    if section not in SECTIONS:
        return []
    row = KEYS.get((section, key))
    if not row:
        names = (name for known, name in KEYS if known == section)
        return [_problem(assignment, "unknown-key", "there is no such key", _hint_key(assignment, names))]
    if not assignment.value:
        settings.pop(row.id, None)
        return []
    try:
        value = row.type.parse(assignment.value)
    except BadValue as error:
        return [_problem(assignment, "bad-value", str(error), error.hint)]
    _store(assignment, row, value, settings)
    return []


def _store(assignment: Assignment, row: Key, value: Value, settings: _Settings) -> None:
    fresh = _setting(row.section, row.name, value, assignment)
    settings[row.id] = _append(settings.get(row.id), fresh) if row.many else fresh


def _setting(section: str, key: str, value: Value, origin: Assignment) -> Setting:
    return Setting(section, key, (value,), (origin.value,), ((origin.path, origin.line),))


def _append(before: Setting | None, fresh: Setting) -> Setting:
    if not before:
        return fresh
    return before._replace(
        values=before.values + fresh.values, raw=before.raw + fresh.raw, places=before.places + fresh.places
    )


def _apply_native(assignment: Assignment, settings: _Settings) -> list[Problem]:
    problems = []
    section, name, value = assignment.section, assignment.key, assignment.value
    if (section, name) in RENAMED:
        successor, translate = RENAMED[section, name]
        try:
            value = translate(value) if value else value
        except BadValue as error:
            return [_problem(assignment, "bad-value", str(error), error.hint)]
        message, hint = f"is now called {successor}=, taken as {value!r}", f"write {successor}={value}"
        problems.append(_problem(assignment, "renamed-key", message, hint)._replace(severity="warning"))
        name = successor
    if (section, name) in REFUSED:
        reason, remedy = REFUSED[section, name]
        return [_problem(assignment, "refused-key", reason, remedy)]
    if name not in DIRECTIVES[section]:
        hint = _hint_key(assignment, DIRECTIVES[section])
        return [_problem(assignment, "unknown-key", "systemd has no such directive", hint)]
    try:
        check_directive(name, value)
    except BadValue as error:
        return [*problems, _problem(assignment, "bad-value", str(error), error.hint)]
    fresh = _setting(section, name, value, assignment)._replace(raw=(value,))
    # An empty assignment resets what came before, here and in the unit: it is passed on as well.
    before = None if not value or is_single(name) else settings.get((section, name))
    settings[section, name] = _append(before, fresh)
    return problems


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
    if len(message) > _MAX_SHOWN:
        message = f"{message[:_MAX_SHOWN]}..."
    place = assignment.line, assignment.section, assignment.key
    return Problem(code, assignment.path, message, hint, *place)
