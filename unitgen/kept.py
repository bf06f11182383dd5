"""What the last run wrote, kept for the next ones. The only module that knows of it.

packaging/unitgen-generator puts the whole of it back where nothing has changed, without Python, and where
Python fails. Where one spec is broken, its container gets the files it had while the spec was good.

    tree/      the files as they were written
    outputs    their checksums, in the form of b2sum(1)
    owners     `MACHINE PATH` for each file that belongs to one container and is no stub
    unsaved    there until it is saved for the next boot
    inputs     checksums of all that the files depend on; absent after a run with errors
    seal       checksums of outputs and inputs, so that nothing can be cut short; absent with inputs
"""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from fcntl import LOCK_EX, LOCK_NB, flock
from fnmatch import fnmatchcase
from hashlib import blake2b
from typing import NamedTuple

from unitgen.model import File
from unitgen.output import copy_files, remove_folder, replace_folder, write_files
from unitgen.pipeline import Outcome, Result
from unitgen.places import LIBRARIES, PLACES, PROGRAMS, TEMPLATES
from unitgen.tree import Inputs

FOLDERS = ("/run/unitgen/kept", "/run/unitgen/kept.old", "/var/cache/unitgen/kept")
"""That of this boot, which is .old for a moment, and what unitgen-keep.service has saved for the next."""

_FACTS = ("/etc/machine-id", "/usr/lib/unitgen/version")
_LINES = ("\n", "\r", "\\")  # b2sum would write such a name in another way


class Kept(NamedTuple):
    """A kept tree that only root can have written."""

    folder: str
    owners: Mapping[str, tuple[str, ...]]

    def recall_files(self, machine: str) -> tuple[File, ...]:
        """The last good files of a container; none if it has none, or one of them cannot be read."""
        try:
            return tuple(_read_file(self.folder, path) for path in self.owners.get(machine, ()))
        except (OSError, ValueError):
            return ()


def find_kept(root: str) -> Kept | None:
    """What an earlier run has kept, undamaged."""
    for folder in FOLDERS:
        place = root.rstrip("/") + folder
        try:
            _check_trust(place)
            _check_sums(place)
            return Kept(f"{place}/tree", _read_owners(place))
        except (OSError, ValueError):
            continue
    return None


def recall_broken(result: Result, root: str) -> Result:
    """Have containers whose spec is broken keep the files that they had before, if they had any."""
    wanted = [outcome for outcome in result.outcomes if _may_keep(outcome)]
    kept = find_kept(root) if wanted else None
    if not kept:
        return result
    return result._replace(outcomes=tuple(_recall(kept, outcome) for outcome in result.outcomes))


def _may_keep(outcome: Outcome) -> bool:
    # Where this key is what is broken, it has its default.
    return outcome.state == "broken" and outcome.spec.text("Container", "WhenBroken", "keep") == "keep"


def _recall(kept: Kept, outcome: Outcome) -> Outcome:
    files = kept.recall_files(outcome.source.name) if _may_keep(outcome) else ()
    return outcome._replace(files=(*files, *outcome.notice), recalled=files) if files else outcome


class Surroundings(NamedTuple):
    """Names of all that a run may depend on, and the content of what is not read by way of a tree."""

    names: tuple[str, ...]
    contents: Mapping[str, bytes]


def note_surroundings(root: str) -> Surroundings:
    """To be called before a run: what comes later is then found to be new by the next."""
    place = root.rstrip("/")
    contents = {}
    for path in _FACTS:
        if os.path.exists(place + path):
            with open(place + path, "rb") as file:
                contents[path] = file.read()
    return Surroundings(tuple(list_inputs(place)), contents)


def keep_result(result: Result, before: Surroundings, root: str, out: str, *, sound: bool) -> None:
    """Keep what was written to `out`, for good only if it is `sound`: without errors, and all of it there.

    Where that cannot be, or another run is about it, the next run does the work again.
    """
    place = root.rstrip("/") + FOLDERS[0]
    folder = os.path.dirname(place)
    try:
        os.makedirs(folder, exist_ok=True)
        # Whoever may open it may lock it (flock(2)): not the folder, which is for everybody to read.
        lock = os.open(f"{folder}/lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            flock(lock, LOCK_EX | LOCK_NB)
            _keep(result, before, place, out, sound=sound)
        finally:
            os.close(lock)
    except (OSError, ValueError):
        pass


def _keep(result: Result, before: Surroundings, place: str, out: str, *, sound: bool) -> None:
    new = f"{place}.new"
    try:
        remove_folder(new)
        os.mkdir(new)
        # Sticky, which any chmod by number takes away again: the shell, which sees no modes, sees that.
        os.chmod(new, 0o1700)
        _fill(new, out, result)
        if sound and _is_all_known(before, result.inputs):
            _seal(new, before, result.inputs.contents)
        replace_folder(new, place, f"{place}.old")
    except (OSError, ValueError):
        remove_folder(new)
        raise


def _is_all_known(before: Surroundings, inputs: Inputs) -> bool:
    """Whether another outcome of the same run would show in names and contents."""
    # Patterns that match nothing end in `*`, and names of what is read never do.
    names = [name for name in before.names if not name.endswith("*")]
    if not any("/libsystemd-shared-" in name for name in names):
        return False  # systemd-nspawn had to be asked for its version
    # A file may have been away for a moment, as while an editor saves it.
    return not inputs.has_missed(names)


def _fill(new: str, out: str, result: Result) -> None:
    os.mkdir(f"{new}/tree", 0o755)
    copy_files(result.files, out, f"{new}/tree")
    sums = [(f"tree/{file.path}", file.text.encode()) for file in result.files if not file.target]
    owners = "".join(
        f"{outcome.source.name} {file.path}\n" for outcome in result.outcomes for file in _list_good(outcome)
    )
    sums.append(("owners", owners.encode()))
    write_files([File("outputs", _format_sums(sums)), File("owners", owners), File("unsaved")], new)


def _list_good(outcome: Outcome) -> tuple[File, ...]:
    return outcome.files if outcome.state in ("ok", "warning") else outcome.recalled


def _seal(new: str, before: Surroundings, inputs: Mapping[str, bytes]) -> None:
    known = {**inputs, **before.contents}
    names = "".join(f"{name}\n" for name in (*before.names, *_list_kept(new)))
    # The names that are there stand for its standard input.
    text = _format_sums([*sorted(known.items()), ("-", os.fsencode(names))])
    with open(f"{new}/outputs", "rb") as file:
        seal = _format_sums([("outputs", file.read()), ("inputs", text.encode())])
    write_files([File("inputs", text), File("seal", seal)], new)


def _format_sums(contents: Iterable[tuple[str, bytes]]) -> str:
    lines = []
    for name, data in contents:
        if any(char in name for char in _LINES):
            raise ValueError(f"{name!r} cannot stand in a list of checksums")
        lines.append(f"{blake2b(data).hexdigest()}  {name}\n")
    return "".join(lines)


def list_inputs(root: str) -> Iterator[str]:
    """Names of all that a run may depend on, as packaging/unitgen-generator has them: patterns of the shell,
    where one that matches nothing stands for itself.
    """
    tools = [f"{folder}/{tool}" for folder in PROGRAMS for tool in ("iptables", "nft")]
    yield from (path for path in (*_FACTS, *tools) if os.path.exists(root + path))
    for place in PLACES:
        for pattern in ("unitgen.conf*", "unitgen.conf.d/*", "containers/*", "containers/*.d/*"):
            yield from _expand(root, f"{place}/{pattern}")
    yield from _expand(root, f"{TEMPLATES}/*")
    for folder in LIBRARIES:
        yield from _expand(root, f"/{folder}/libsystemd-shared-*")


def _list_kept(new: str) -> Iterator[str]:
    for pattern in ("tree/*", "tree/*s/*"):
        yield from (name.removeprefix("/") for name in _expand(new, f"/{pattern}"))


def _expand(root: str, pattern: str) -> list[str]:
    """Pathname expansion (POSIX, Shell Command Language 2.6.6) with `*`, in the C locale."""
    found = [""]
    for part in pattern.split("/")[1:]:
        if "*" in part:
            found = [f"{folder}/{name}" for folder in found for name in _match(root + folder, part)]
        else:
            found = [f"{folder}/{part}" for folder in found if os.path.lexists(f"{root}{folder}/{part}")]
    return sorted(found, key=os.fsencode) or [pattern]


def _match(folder: str, part: str) -> list[str]:
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return [name for name in names if fnmatchcase(name, part) and not name.startswith(".")]


def _check_trust(place: str) -> None:
    for path in (place, f"{place}/tree", f"{place}/outputs", f"{place}/owners"):
        status = os.lstat(path)
        if status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o022 or stat.S_ISLNK(status.st_mode):
            raise ValueError(f"{path} may have been written by others")


def _check_sums(place: str) -> None:
    with open(f"{place}/outputs", encoding="utf-8") as file:
        for line in file:
            wanted, _, name = line.rstrip("\n").partition("  ")
            with open(f"{place}/{name}", "rb") as kept:
                if blake2b(kept.read()).hexdigest() != wanted:
                    raise ValueError(f"{place}/{name} is damaged")


def _read_owners(place: str) -> dict[str, tuple[str, ...]]:
    owners: dict[str, tuple[str, ...]] = {}
    with open(f"{place}/owners", encoding="utf-8") as file:
        for line in file:
            name, _, path = line.rstrip("\n").partition(" ")
            owners[name] = (*owners.get(name, ()), path)
    return owners


def _read_file(folder: str, path: str) -> File:
    place = f"{folder}/{path}"
    if os.path.islink(place):
        return File(path, target=os.readlink(place))
    with open(place, encoding="utf-8", newline="") as file:
        return File(path, file.read())
