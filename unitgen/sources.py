"""Finds specs, drop-ins and unitgen.conf below a root, with the search order and masks of unitgen.ini(5)."""

import os
from collections.abc import Iterable
from typing import NamedTuple

from unitgen.errors import BadValue, Problem
from unitgen.escape import FORBIDDEN
from unitgen.places import FOLDERS, PLACES, SUFFIX
from unitgen.tree import Masked, Refused, Tree
from unitgen.values import parse_machine

_MISTAKEN = (".nspawn", ".conf", ".INI", ".conf.d")
ALL_CONTAINERS = "container"  # container.ini.d/ applies to every container


class Source(NamedTuple):
    """The files that make up one container, weakest first, with their content.

    `problems` are those of finding and reading; `shadowed` are specs of the same name in weaker folders.
    """

    name: str
    path: str
    contents: tuple[tuple[str, bytes], ...] = ()
    shadowed: tuple[str, ...] = ()
    masked: bool = False
    problems: tuple[Problem, ...] = ()


class Finds(NamedTuple):
    """All sources by name, and problems that belong to no container."""

    sources: tuple[Source, ...]
    problems: tuple[Problem, ...]


class Layer(NamedTuple):
    """Files that were found and read, weakest first."""

    contents: tuple[tuple[str, bytes], ...]
    problems: tuple[Problem, ...]


def find_sources(tree: Tree) -> Finds:
    """Every container that has a spec, by name, files read. Never raises for what is in the folders."""
    found, dropins, problems = _scan(tree)
    defaults = _read_defaults(tree)
    sources = tuple(_gather(tree, name, found[name], dropins, defaults) for name in sorted(found))
    return Finds(sources, tuple(problems))


def read_candidate(tree: Tree, path: str, data: bytes) -> Source:
    """A file that is not in place yet, as if it were: with the defaults and drop-ins it would meet."""
    name = os.path.basename(path).removesuffix(SUFFIX)
    fault = _check_name(name, path)
    if fault:
        return Source(name, path, problems=(fault,))
    if not data:
        return Source(name, path, masked=True)
    return _merge(tree, Source(name, path, ((path, data),)), _scan(tree)[1], _read_defaults(tree))


def _scan(tree: Tree) -> tuple[dict[str, list[str]], dict[str, list[str]], list[Problem]]:
    """Spec paths by container name and drop-in folders by name, each strongest first; what is not read."""
    found: dict[str, list[str]] = {}
    dropins: dict[str, list[str]] = {}
    problems: list[Problem] = []
    for folder in FOLDERS:
        for entry in _list_names(tree, folder, problems):
            if entry.endswith(_MISTAKEN):
                hint = "specs are called NAME.ini, their drop-in folders NAME.ini.d"
                fault = Problem("bad-name", f"{folder}/{entry}", "is not read", hint, severity="warning")
                problems.append(fault)
            if entry.endswith(SUFFIX + ".d"):
                dropins.setdefault(entry.removesuffix(SUFFIX + ".d"), []).append(f"{folder}/{entry}")
            elif entry.endswith(SUFFIX) and not entry.startswith("."):
                found.setdefault(entry.removesuffix(SUFFIX), []).append(f"{folder}/{entry}")
    for name, folders in dropins.items():
        if name not in found and name != ALL_CONTAINERS:
            hint = f"call it after a spec, or write {name}.ini"
            problems += [
                Problem("bad-name", path, "belongs to no spec", hint, severity="warning") for path in folders
            ]
    return found, dropins, problems


def _list_names(tree: Tree, folder: str, problems: list[Problem]) -> list[str]:
    # A folder that is not trusted still tells names: each of its specs then fails with the reason, instead
    # of leaving the container to the vendor's defaults.
    try:
        return tree.list_folder(folder)
    except Masked:
        return []
    except Refused as refused:
        problems.append(refused.problem)
        try:
            return sorted(os.listdir(tree.root + folder))
        except OSError:
            return []


def _gather(
    tree: Tree, name: str, paths: list[str], dropins: dict[str, list[str]], defaults: Layer
) -> Source:
    path, shadowed = paths[0], tuple(paths[1:])
    fault = _check_name(name, path)
    if fault:
        return Source(name, path, shadowed=shadowed, problems=(fault,))
    source = Source(name, path, shadowed=shadowed)
    try:
        source = source._replace(contents=((path, tree.read_file(path)),))
    except Masked:
        return source._replace(masked=True)
    except Refused as refused:
        source = source._replace(problems=(refused.problem,))
    return _merge(tree, source, dropins, defaults)


def _merge(tree: Tree, source: Source, dropins: dict[str, list[str]], defaults: Layer) -> Source:
    """The spec between the defaults, which are weaker, and its drop-ins, which are stronger."""
    folders = [*dropins.get(source.name, ()), *dropins.get(ALL_CONTAINERS, ())]
    extra = _read_dropins(tree, folders, SUFFIX)
    return source._replace(
        contents=(*defaults.contents, *source.contents, *extra.contents),
        problems=(*defaults.problems, *source.problems, *extra.problems),
    )


def _check_name(name: str, path: str) -> Problem | None:
    if name == ALL_CONTAINERS:
        message = "no container can be called container: container.ini.d/ is for all of them"
        return Problem("bad-name", path, message, "rename the file")
    try:
        parse_machine(name)
    except BadValue as error:
        return Problem("bad-name", path, f"the file name gives no machine name: {error}", error.hint)
    return None


def _read_defaults(tree: Tree) -> Layer:
    """unitgen.conf of the strongest place that has one, then unitgen.conf.d/ of all places."""
    main: Layer = Layer((), ())
    for place in PLACES:
        if tree.has_name(f"{place}/unitgen.conf"):
            main = _read_layer(tree, [f"{place}/unitgen.conf"])
            break
    extra = _read_dropins(tree, [f"{place}/unitgen.conf.d" for place in PLACES], ".conf")
    return Layer((*main.contents, *extra.contents), (*main.problems, *extra.problems))


def _read_dropins(tree: Tree, folders: Iterable[str], suffix: str) -> Layer:
    """Drop-ins in the order of their names; of equal names the first folder's counts."""
    chosen: dict[str, str] = {}
    problems: list[Problem] = []
    for folder in folders:
        try:
            names = tree.list_folder(folder)
        except Masked:
            continue
        except Refused as refused:
            problems.append(refused.problem)
            continue
        for name in names:
            path = f"{folder}/{name}"
            if name.startswith(".") or not name.endswith((".ini", ".conf")):
                continue
            # A hardening drop-in that is not read would leave the container weaker without a word.
            if not name.endswith(suffix) or FORBIDDEN.search(name):
                hint = f"rename it to something plain that ends in {suffix}"
                problems.append(Problem("bad-name", path, "is no name of a drop-in here", hint))
            else:
                chosen.setdefault(name, path)
    layer = _read_layer(tree, [chosen[name] for name in sorted(chosen)])
    return Layer(layer.contents, (*problems, *layer.problems))


def _read_layer(tree: Tree, paths: Iterable[str]) -> Layer:
    contents: list[tuple[str, bytes]] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            contents.append((path, tree.read_file(path)))
        except Masked:
            continue
        except Refused as refused:
            problems.append(refused.problem)
    return Layer(tuple(contents), tuple(problems))
