"""Any text in any key: it arrives byte for byte, or the container is refused with file and line."""

import re
from collections import Counter
from collections.abc import Mapping

from hypothesis import HealthCheck, example, given, settings

from tests.property.emitted import check_outcome, read_argv
from tests.property.expected import PLAIN, find_company, list_extra, list_mounts, list_words
from tests.property.reader import Unit, read_paths, read_unit, resolve_percent
from tests.property.roots import locate, run_specs
from tests.property.texts import FRAGMENTS, ROWS, WAYS, Change, changes, encode, find_example
from unitgen.pipeline import Outcome
from unitgen.schema import Key

_SHARED = "owner"  # for Share=, AllowFrom= and the like: what the examples name has to be there
_ROWS: Mapping[str, Key] = {f"k{number}": row for number, row in enumerate(ROWS)}
_BASES: dict[str, Unit] = {}
_API = re.compile("/(dev|proc|sys)?(/|$)")  # is there in any case


def _find_base(row: Key) -> Unit:
    """The override of the container without the key."""
    company = find_company(row)
    if company not in _BASES:
        outcome = run_specs({"k0": company.encode()})["k0"]
        override = check_outcome(outcome)
        assert override, outcome.problems
        _BASES[company] = override
    return _BASES[company]


def _write_spec(row: Key, value: str) -> bytes:
    return encode(f"{find_company(row)}[{row.section}]\n{row.name}={value}\n")


def _check_refused(outcome: Outcome, row: Key, line: int) -> None:
    """Where to look is said; a place that is taken may be somebody else's matter."""
    places = [(problem.path, problem.line) for problem in outcome.problems if problem.is_error]
    path = f"/{locate(outcome.source.name)}"
    taken = row.section in ("Network", "Firewall") and all(found == path for found, _ in places)
    assert (path, line) in places or taken, (row.id, outcome.problems)


def _check_accepted(outcome: Outcome, override: Unit, row: Key, raw: str) -> None:
    base = _find_base(row)
    more = Counter(override.names()) - Counter(base.names())
    assert set(more) <= list_extra(row), (row.id, more)
    words = list_words(row, raw)
    name = outcome.source.name
    before = [word.replace("k0", name) for word in read_argv(base)]
    after = read_argv(override)
    if words is None or (not row.option and row.name != "Parameters"):
        assert all(PLAIN.fullmatch(word) for word in after if word not in before), (row.id, after)
    else:
        _check_words(words, before, after)
    _check_mounts(override, base, row, raw)
    if row.name == "Description":
        _check_description(override, list_words(row._replace(option="{}"), raw) or [""], name)


def _check_mounts(override: Unit, base: Unit, row: Key, raw: str) -> None:
    """The container waits for the file systems of what it shows, and for no others."""
    known = base.values("Unit", "RequiresMountsFor")
    found = [value for value in override.values("Unit", "RequiresMountsFor") if value not in known]
    paths = [path for value in found for path in read_paths(value)]
    assert len(paths) == len(found)
    wanted = [path for path in list_mounts(row, raw) if not _API.match(path)]
    assert paths == [path for path in dict.fromkeys(wanted) if path not in map(_read_path, known)]
    for value in override.values("Service", "DeviceAllow"):
        assert len(read_paths(value)) == 2


def _read_path(value: str) -> str:
    (path,) = read_paths(value)
    return path


def _check_words(words: list[str], before: list[str], after: list[str]) -> None:
    """The words stand in one piece, and all else was there without them, in the same order."""
    places = [place for place in range(len(after)) if after[place : place + len(words)] == words]
    assert places, (words, after)
    rest = iter(before)
    assert all(word in rest for word in after[: places[-1]] + after[places[-1] + len(words) :]), after


def _check_description(override: Unit, words: list[str], name: str) -> None:
    (shown,) = override.values("Unit", "Description")
    # What is blank to Python is taken off at the ends, and a tab becomes a blank.
    expected = words[0].replace("\t", " ").strip() if words[0] else f"Container {name}"
    assert resolve_percent(shown) == expected


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(changes)
@example(Change("further", '" "--bind=/:/host', lambda value, text: value + text))
def test_any_text_in_any_key(change: Change) -> None:
    """One change in all keys, each in a container of its own."""
    check_change(change)


def test_every_fragment_in_any_key() -> None:
    for number, text in enumerate(FRAGMENTS):
        way = ("after", "inside", "before")[number % 3]
        check_change(Change(way, text, WAYS[way]))


def check_change(change: Change) -> None:
    """What becomes of all keys, each with its example changed."""
    values = {name: change.apply(find_example(row), change.text) for name, row in _ROWS.items()}
    specs = {name: _write_spec(_ROWS[name], value.replace("\n", "\\")) for name, value in values.items()}
    outcomes = run_specs({_SHARED: b"[Exec]\n", **_FRIENDS, **specs})
    for name, row in _ROWS.items():
        outcome = outcomes[name]
        override = check_outcome(outcome)
        if override is None:
            _check_refused(outcome, row, specs[name].count(b"\n"))
        else:
            _check_accepted(outcome, override, row, read_unit(specs[name]).entries[-1].value)


def _list_friends() -> dict[str, bytes]:
    """Containers that examples name."""
    found = [
        word for row in ROWS if row.name in ("Share", "AllowFrom") for word in find_example(row).split()
    ]
    return {word: b"[Exec]\n" for word in found if word[:1].isalpha()}


_FRIENDS = _list_friends()


def test_examples_are_sound() -> None:
    """Without a change every key is accepted, so that changes are looked at in what is emitted."""
    specs = {name: _write_spec(row, find_example(row)) for name, row in _ROWS.items()}
    outcomes = run_specs({**_FRIENDS, **specs})
    refused = [
        (row.id, outcomes[name].problems) for name, row in _ROWS.items() if outcomes[name].state == "broken"
    ]
    assert refused == []
