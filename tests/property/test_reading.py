"""Specs are read as systemd reads them, and what is written from them is read as the same."""

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from tests.property.printer import print_assignments, print_raw, print_values
from tests.property.reader import Unclean, read_unit
from tests.property.texts import ROWS, Change, changes, encode, find_example, list_natives, piece
from unitgen.ini import parse_document
from unitgen.model import Spec
from unitgen.parse import parse_source
from unitgen.sources import Source

PATH = "/etc/unitgen/containers/web.ini"
_ATOMS = (
    "[A]\n",
    "[Exec]",
    "k",
    "=",
    "v",
    "\n",
    "\n",
    "\\\n",
    "\\",
    " ",
    "\t",
    "#",
    ";",
    '"',
    "'",
    "]",
    "\r\n",
    "\ufeff",
)
documents = st.lists(st.one_of(st.sampled_from(_ATOMS), piece), max_size=30).map(
    lambda parts: encode("".join(parts))
)


@settings(max_examples=1500, suppress_health_check=list(HealthCheck))
@given(st.one_of(documents, documents.map(lambda data: b"[A]\n" + data), st.binary(max_size=40)))
@example(b"[A]\nk=a\\")
@example(b"[A]\nk=a\\\n\\\n\\")
@example(b"\xef\xbb\xbf[A]\r\nk=a\\\r\n#\\\r\nb\r\n")
@example(b"[A]\nk=\\\n\n\\\nl=v")
def test_document_is_what_systemd_reads(data: bytes) -> None:
    """Without a problem: the same assignments. With one: never more than systemd would find."""
    document = parse_document(data, PATH)
    assert all(problem.path == PATH and problem.line >= 0 for problem in document.problems)
    found = [(item.section, item.key, item.value) for item in document.assignments]
    if document.problems:
        return
    try:
        expected = [(section.strip(" \t"), key, value) for section, key, value in read_unit(data).entries]
    except Unclean as error:
        pytest.fail(f"{error} was accepted")
    assert found == expected


@settings(max_examples=500, suppress_health_check=list(HealthCheck))
@given(documents)
@example(b"[A]\nk=a\\ \nl=b\\\\\n")
def test_document_written_again_is_the_same(data: bytes) -> None:
    """Also what is left of a file that has faults."""
    document = parse_document(data, PATH)
    spoiled = {problem.line for problem in document.problems}
    kept = [item for item in document.assignments if item.line not in spoiled]
    again = parse_document(print_assignments(kept), PATH)
    assert again.problems == ()
    assert [item[:3] for item in again.assignments] == [item[:3] for item in kept]


def _parse(data: bytes) -> tuple[Spec, list[str]]:
    spec, problems = parse_source(Source("web", PATH, ((PATH, data),)))
    return spec, [problem.format() for problem in problems if problem.is_error]


def _strip(spec: Spec) -> dict[tuple[str, str], tuple[object, object]]:
    return {key: (setting.values, setting.raw) for key, setting in spec.settings.items()}


def _write_all(change: Change) -> bytes:
    """Every key twice, the second time with a change."""
    lines = [(*row.id, find_example(row)) for row in ROWS]
    lines += [(*key, value) for key, value in list_natives().items()]
    text = "".join(
        f"[{section}]\n{key}={value}\n{key}={change.apply(value, change.text)}\n\n"
        for section, key, value in lines
    )
    return encode(text)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(changes)
@example(Change("before", "#", lambda value, text: text + value))
@example(Change("after", "\\ ", lambda value, text: value + text))
def test_spec_written_again_is_the_same(change: Change) -> None:
    """As it was, and in other words; what those become is written in the same words again."""
    spec, _ = _parse(_write_all(change))
    assume(spec.settings)
    raw, faults = _parse(print_raw(spec))
    assert (faults, _strip(raw)) == ([], _strip(spec))
    other, faults = _parse(print_values(spec))
    assert faults == []
    assert {key: setting.values for key, setting in other.settings.items()} == {
        key: setting.values for key, setting in spec.settings.items()
    }
    assert print_values(other) == print_values(spec)
