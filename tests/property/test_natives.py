"""Any text in any directive of systemd: it is passed through as it is, or refused with file and line."""

from collections import Counter

from hypothesis import HealthCheck, example, given, settings

from tests.property.emitted import check_outcome
from tests.property.reader import Entry, read_unit
from tests.property.roots import locate, run_specs
from tests.property.texts import FRAGMENTS, WAYS, Change, changes, encode, list_natives
from unitgen.errors import MAX_PROBLEMS
from unitgen.native import NO_EFFECT, RENAMED
from unitgen.pipeline import Outcome

_SIZE = MAX_PROBLEMS - 20
_Line = tuple[str, str, str]  # section, directive, value


def _write(lines: list[_Line]) -> bytes:
    return encode("[Exec]\n" + "".join(f"[{section}]\n{name}={value}\n" for section, name, value in lines))


def _run(fleet: dict[str, list[_Line]]) -> dict[str, Outcome]:
    return run_specs({name: _write(lines) for name, lines in fleet.items()})


def _list_faults(outcome: Outcome) -> set[int]:
    """The lines that were refused, counted from 0; each has two lines in the file, after the first."""
    errors = [problem for problem in outcome.problems if problem.is_error]
    assert all(problem.path == f"/{locate(outcome.source.name)}" for problem in errors)
    return {problem.line // 2 - 1 for problem in errors if problem.line}


def _drop_refused(fleet: dict[str, list[_Line]]) -> dict[str, Outcome]:
    """The outcomes of the lines that are left when all refused ones are gone: they are accepted."""
    for _ in range(3):
        outcomes = _run(fleet)
        faults = {name: _list_faults(outcome) for name, outcome in outcomes.items()}
        if not any(outcome.state == "broken" for outcome in outcomes.values()):
            return outcomes
        for name, lines in fleet.items():
            assert faults[name] or outcomes[name].state != "broken", outcomes[name].problems
            fleet[name] = [line for number, line in enumerate(lines) if number not in faults[name]]
    raise AssertionError("lines that nobody complains about are refused")


def _chunk(lines: list[_Line]) -> dict[str, list[_Line]]:
    starts = range(0, len(lines), _SIZE)
    return {f"c{start}": lines[start : start + _SIZE] for start in starts}


def _expect(lines: list[_Line]) -> Counter[Entry]:
    """What the lines say to systemd, under today's names."""
    found: Counter[Entry] = Counter()
    for section, key, value in read_unit(_write(lines)).entries:
        name, translate = RENAMED.get((section, key), (key, str))
        if (section, name) not in NO_EFFECT:
            found[Entry(section, name, translate(value) if value else value)] += 1
    return found


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(changes)
@example(Change("after", "\\ ", WAYS["after"]))
def test_any_text_in_any_directive(change: Change) -> None:
    """One change in all directives."""
    check_change(change)


def test_every_fragment_in_any_directive() -> None:
    for text in FRAGMENTS:
        check_change(Change("after", text, WAYS["after"]))


def check_change(change: Change) -> None:
    """What becomes of all directives. A value that is empty is left out: it resets others as well."""
    lines = [
        (section, name, change.apply(value, change.text) or value)
        for (section, name), value in list_natives().items()
    ]
    lines = [line for line in lines if [entry.value for entry in read_safely(line)] != [""]]
    fleet = _chunk(lines)
    outcomes = _drop_refused(fleet)
    base = check_outcome(run_specs({"c": b"[Exec]\n"})["c"])
    for name, outcome in outcomes.items():
        override = check_outcome(outcome)
        assert base and override
        common = Counter(entry._replace(value=entry.value.replace(name, "c")) for entry in override.entries)
        assert common - Counter(base.entries) == _expect_as("c", name, fleet[name])


def _expect_as(new: str, name: str, lines: list[_Line]) -> Counter[Entry]:
    found: Counter[Entry] = Counter()
    for entry, count in _expect(lines).items():
        found[entry._replace(value=entry.value.replace(name, new))] += count
    return found


def read_safely(line: _Line) -> tuple[Entry, ...]:
    """The assignment of a line as systemd reads it; nothing if it is none."""
    try:
        return read_unit(_write([line])).entries
    except Exception:  # whatever is wrong with it, unitgen has to refuse it
        return ()
