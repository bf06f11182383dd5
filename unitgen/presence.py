"""What a spec needs to exist. Only `check` looks: at boot, /var and others are not mounted yet."""

from collections.abc import Collection, Iterator

from unitgen.errors import Problem
from unitgen.keys import DEPENDENCIES, IMAGES
from unitgen.model import Spec
from unitgen.mounts import MOUNTS_OF_HOST, list_sources
from unitgen.tree import Tree

# machinectl(1), "Files and Directories".
_IMAGE_FOLDERS = (
    "/etc/machines",
    "/run/machines",
    "/var/lib/machines",
    "/var/lib/container",
    "/usr/local/lib/machines",
    "/usr/lib/machines",
)


def check_presence(spec: Spec, tree: Tree, machines: Collection[str]) -> tuple[Problem, ...]:
    """Missing images, bind sources and containers that the spec depends on."""
    return (
        *_check_image(spec, tree),
        *_check_sources(spec, tree),
        *_check_containers(spec, machines),
    )


def _check_image(spec: Spec, tree: Tree) -> Iterator[Problem]:
    named = False
    for key in IMAGES:
        setting = spec.find("Container", key)
        path = spec.text("Container", key)
        named = named or bool(setting)
        if setting and not tree.exists(path) and not spec.find("Container", "Template"):
            place, line = setting.place
            hint = f"put the container's tree there, or correct {key}="
            yield Problem("missing-image", place, f"{path} does not exist", hint, line, "Container", key)
    template = spec.find("Container", "Template")
    if template and not tree.exists(spec.text("Container", "Template")):
        place, line = template.place
        message = f"{template.values[-1]} does not exist"
        yield Problem("missing-image", place, message, "correct Template=", line, "Container", "Template")
    if not named and not template and not _has_image(spec.name, tree):
        message = f"there is no /var/lib/machines/{spec.name} and no {spec.name}.raw"
        yield Problem(
            "missing-image", spec.path, message, "put the container's tree there, or set Directory="
        )


def _has_image(name: str, tree: Tree) -> bool:
    return any(
        tree.exists(f"{folder}/{name}{end}") for folder in _IMAGE_FOLDERS for end in ("", ".raw", ".v")
    )


def _check_sources(spec: Spec, tree: Tree) -> Iterator[Problem]:
    for key in MOUNTS_OF_HOST:
        for value, (place, line) in spec.parts("Files", key):
            for path in list_sources(key, str(value)):
                if not tree.exists(path):
                    message = f"{path} does not exist, the container would not start"
                    yield Problem("missing-source", place, message, "create it", line, "Files", key)


def _check_containers(spec: Spec, machines: Collection[str]) -> Iterator[Problem]:
    for key in DEPENDENCIES:
        for names, (place, line) in spec.parts("Container", key):
            for name in names if isinstance(names, tuple) else ():
                if name not in machines:
                    message, hint = f"there is no spec of a container {name}", "correct the name"
                    where = (line, "Container", key)
                    yield Problem("unknown-container", place, message, hint, *where, severity="warning")
