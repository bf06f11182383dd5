"""Names of files may be anything: only those that name a machine or a drop-in count, and none is lost."""

import os
import re

from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from tests.property.emitted import check_outcome, read_argv
from tests.property.reader import read_environment
from tests.property.roots import FOLDER, fetch_file, run
from tests.property.texts import encode, hostile_text

_MACHINE = re.compile(
    rb"(?!.*--?\.)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*"
)
_name = st.one_of(
    hostile_text.map(encode),
    st.binary(max_size=8),
    st.text("ab-._", max_size=70).map(str.encode),
).map(lambda name: name.replace(b"/", b"-").replace(b"\0", b"_"))


def _is_machine(name: bytes) -> bool:
    return len(name) <= 64 and _MACHINE.fullmatch(name) is not None and name != b"container"


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(_name)
@example(b"container")
@example(b"a" * 64)
@example(b"a" * 65)
@example(b"web\n")
def test_name_of_a_spec(name: bytes) -> None:
    """A machine of that name, or a problem that names the file; the machine beside it is there."""
    assume(0 < len(name) < 240 and name != b"neighbour" and not name.startswith(b"."))
    path = FOLDER.encode() + b"/" + name + b".ini"
    result = run({path: b"[Exec]\n", f"{FOLDER}/neighbour.ini": b"[Exec]\n"})
    states = {os.fsencode(outcome.source.name): outcome for outcome in result.outcomes}
    assert check_outcome(states.pop(b"neighbour"))
    (outcome,) = states.values()
    assert (outcome.state == "ok") == _is_machine(name)
    if outcome.state == "ok":
        assert check_outcome(outcome)
        return
    (problem,) = outcome.problems
    assert (problem.code, os.fsencode(problem.path)) == ("bad-name", b"/" + path)
    assert problem.format().isprintable() or "\u2028" in problem.format() or not problem.format().isascii()
    assert bool(outcome.files) == (name == b"container")


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(_name, st.sampled_from(["web.ini.d/%b.ini", "container.ini.d/%b.ini", "../unitgen.conf.d/%b.conf"]))
@example(b'10-%n $x "q" \\', "web.ini.d/%b.ini")
@example(b"10-\\", "container.ini.d/%b.ini")
@example(b"10-\xc3\xa9", "web.ini.d/%b.ini")
def test_name_of_a_dropin(name: bytes, place: str) -> None:
    """It is read, and named as it is in what is emitted; or the container is refused because of it."""
    assume(0 < len(name) < 240 and not name.startswith(b"."))
    path = FOLDER.encode() + b"/" + place.encode() % name
    data = b"[Exec]\nHostname=proof\n[Network]\nAddress=auto\n"
    (outcome,) = run({path: data, f"{FOLDER}/web.ini": b"[Exec]\n"}).outcomes
    override = check_outcome(outcome)
    shown = "/" + os.path.normpath(os.fsdecode(path))
    if override is None:
        assert [os.path.normpath(problem.path) for problem in outcome.problems if problem.is_error] == [
            shown
        ]
        return
    assert "--hostname=proof" in read_argv(override)
    # In a comment what cannot be written there is replaced; a drop-in with such a name is not read at all.
    assert f"# From: {shown}\n".encode() in fetch_file(outcome, "10-unitgen-override.conf")
    network = fetch_file(outcome, "unitgen-network@web.service.d/10-unitgen.conf").decode()
    words = [
        word for line in network.splitlines() if line.startswith("Environment=") for word in _read(line)
    ]
    assert f"SPEC={shown}:4" in words


def _read(line: str) -> list[str]:
    return read_environment(line.partition("=")[2])
