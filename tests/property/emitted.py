"""What every container's files must be, whatever its spec says."""

import re

from tests.property.reader import (
    Unit,
    read_command,
    read_environment,
    read_input_text,
    read_unit,
    resolve_percent,
)
from unitgen.model import File
from unitgen.pipeline import Outcome

_PART = re.compile(r"[A-Za-z0-9:_.\\@-]{1,255}")
_STUB = ["SourcePath", "Type", "KillMode", "Slice", "Delegate", "SuccessExitStatus", "ExecStart"]
_NETWORK = {("Unit", "SourcePath"), ("Service", "Environment"), ("Service", "StandardInputText")}
_FULL = {
    "Unit": "Description Documentation SourcePath Wants PartOf Before After RequiresMountsFor",
    "Service": """Type KillMode RestartForceExitStatus SuccessExitStatus Slice Delegate DelegateSubgroup
    CoredumpReceive ExecStopPost TasksMax TimeoutSec WatchdogSec DevicePolicy DeviceAllow ExecStart""",
}
SECTIONS = ("Unit", "Service")


def check_outcome(outcome: Outcome) -> Unit | None:
    """Check all files of a container; its override, or None if it has a stub, a mask or nothing."""
    assert all(problem.code != "internal" for problem in outcome.problems), outcome.problems
    name = outcome.source.name
    for file in outcome.files:
        _check_place(file, name)
    unit = f"systemd-nspawn@{name}.service"
    release = f"{unit}.d/10-unitgen-release.conf"
    texts = {
        file.path: read_text(file) for file in outcome.files if not file.target and file.path != release
    }
    override = texts.pop(f"{unit}.d/10-unitgen-override.conf", None)
    if outcome.state == "broken":
        assert override is None
        _check_stub(texts.pop(unit), outcome)
        _check_notices(outcome)
    elif outcome.state != "masked":
        assert override is not None
        check_override(override)
        if unit in texts:
            _check_full(texts.pop(unit))
    for path, text in texts.items():
        assert re.fullmatch(r"unitgen-(network|bridge)@[^/]+\.service\.d/10-unitgen(-[^/]+)?\.conf", path)
        _check_network(text)
    return override


def read_text(file: File) -> Unit:
    """A file's content, which is that of a unit with its two sections and nothing else."""
    unit = read_unit(file.text.encode())
    assert unit.sections == SECTIONS, file.path
    assert file.text.endswith("\n") and all(entry.key for entry in unit.entries)
    return unit


def _check_place(file: File, name: str) -> None:
    assert all(_PART.fullmatch(part) and part not in (".", "..") for part in file.path.split("/")), file.path
    if file.target:
        unit = f"systemd-nspawn@{name}.service"
        assert file.target in (f"../{unit}", unit, "/dev/null")
        assert file.path.endswith(f"/{unit}") or "/" not in file.path


def check_override(unit: Unit) -> None:
    """The command is reset and set once, and nothing in it is a specifier, a variable or another command."""
    for section, key in (("Unit", "SourcePath"), ("Service", "ExecStart")):
        assert unit.names().count((section, key)) == (1 if section == "Unit" else 2)
    reset, command = unit.values("Service", "ExecStart")
    assert reset == ""
    read_command(command)
    assert unit.names()[-2:] == [("Service", "ExecStop"), ("Service", "ExecStopPost")]


def read_argv(unit: Unit) -> list[str]:
    """The command line of systemd-nspawn."""
    return read_command(unit.values("Service", "ExecStart")[1])


def _check_full(unit: Unit) -> None:
    assert all(key in _FULL[section].split() for section, key in unit.names())
    assert len(unit.values("Service", "ExecStart")) == 1


def _check_network(unit: Unit) -> None:
    assert set(unit.names()) <= _NETWORK
    for value in unit.values("Service", "Environment"):
        assert len(read_environment(value)) == 1
    for value in unit.values("Service", "StandardInputText"):
        assert re.fullmatch("(ip|ipv4|ipv6|nft) .+", read_input_text(value))


def _check_notices(outcome: Outcome) -> None:
    """What stands beside the stub, or beside the files from before: one directive each."""
    name = outcome.source.name
    (release,) = [file for file in outcome.files if file.path.endswith("-release.conf")]
    assert read_unit(release.text.encode()).entries == (("Unit", "AssertPathExists", ""),)
    (notice,) = outcome.notice
    assert notice.path == f"systemd-nspawn@{name}.service.d/11-unitgen-broken.conf"
    (entry,) = read_unit(notice.text.encode()).entries
    assert entry[:2] == ("Unit", "Description") and entry.value.startswith(f"Container {name} is as it was ")


def _check_stub(unit: Unit, outcome: Outcome) -> None:
    """It says what is wrong, and runs nothing else."""
    assert [key for _, key in unit.names()] == ["Description", "Documentation", *_STUB]
    errors = [problem.format() for problem in outcome.problems if problem.is_error]
    shell, option, script, name, *messages = read_command(*unit.values("Service", "ExecStart"))
    assert (shell, option, name) == ("/bin/sh", "-c", "unitgen")
    assert script == 'printf "%s\\n" "$@" >&2; exit 78'
    assert messages == errors[: len(messages)] and len(messages) == min(len(errors), 20)
    # Blanks at the end are not kept, and what is no blank to systemd may be one to Python.
    (description,) = unit.values("Unit", "Description")
    expected = f"Container {outcome.source.name} is not started: {errors[0]}"
    assert resolve_percent(description) == expected.replace("\t", " ")
