"""The demonstration: what unitgen makes of the examples, what systemd says to that, and them running.

Two kinds of comment lines in an example are meant for this program: `# demo-tree: guest` or
`# demo-tree: tiny` names the tree that the container runs (guest if there is none), and
`# demo-folder: PATH` a folder that it needs on the host.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.testbed.containers import Container, place_container, unit
from tests.testbed.host import Host, HostError, NspawnHost
from tests.testbed.trees import Kind, TreeError

CHECKOUT = Path(__file__).parent.parent
SPECS = "etc/unitgen/containers"
UNIT_SUFFIXES = (".service", ".socket", ".timer", ".target", ".path", ".mount")


class Example(NamedTuple):
    """An example spec, and what the demonstration has to know of it."""

    name: str
    text: str
    tree: Kind
    place: str
    folders: list[str]
    autostart: bool


def main() -> int:
    """Show all three parts; the exit status is 0 if every one that can be shown here went well."""
    examples = [read_example(path) for path in sorted((CHECKOUT / "examples").glob("*.ini"))]
    if not examples:
        print("demo: there are no examples")
        return 1
    with tempfile.TemporaryDirectory(prefix="unitgen-demo-") as folder:
        root, out = Path(folder) / "root", Path(folder) / "out"
        good = generate(examples, root, out) and verify(out)
    if reason := obstacle():
        print(f"\nLeft out: booting a host with these containers, because {reason}.")
        return 0 if good else 1
    return 0 if boot(examples) and good else 1


def read_example(path: Path) -> Example:
    """Read the few things of an example that concern the demonstration."""
    text = path.read_text()
    wanted = re.search(r"^# demo-tree: *(\w+)", text, re.MULTILINE)
    kinds: dict[str, Kind] = {"guest": "guest", "tiny": "tiny"}
    return Example(
        name=path.stem,
        text=text,
        tree=kinds[wanted[1]] if wanted else "guest",
        place=setting(text, "Directory"),
        folders=re.findall(r"^# demo-folder: *(\S+)", text, re.MULTILINE),
        autostart=setting(text, "Autostart") not in ("no", "false", "off", "0"),
    )


def setting(text: str, key: str) -> str:
    """The value of a key in [Container]; empty if it is not set."""
    section = re.search(r"^\[Container\]$(.*?)(?=^\[|\Z)", text, re.MULTILINE | re.DOTALL)
    values = re.findall(rf"^{key} *= *(.*?) *$", section[1], re.MULTILINE) if section else []
    return values[-1] if values else ""


def generate(examples: list[Example], root: Path, out: Path) -> bool:
    """Run the generator on the examples alone, and show what it writes."""
    heading(f"What unitgen makes of {len(examples)} examples")
    (root / SPECS).mkdir(parents=True)
    for example in examples:
        (root / SPECS / f"{example.name}.ini").write_text(example.text)
    command = [sys.executable, "-m", "unitgen", "generate", "--root", os.fspath(root), os.fspath(out)]
    if subprocess.run(command, cwd=CHECKOUT).returncode:
        print("demo: unitgen generate failed")
        return False
    for path in sorted(out.rglob("*")):
        if path.is_symlink():
            print(f"{path.relative_to(out)} -> {os.readlink(path)}")
        elif path.is_file():
            print(path.relative_to(out))
    for shown in sorted(out.rglob("*.conf"))[:1]:
        heading(f"One of them in full: {shown.relative_to(out)}")
        print(shown.read_text().rstrip())
    return True


def verify(out: Path) -> bool:
    """Have systemd-analyze judge all units: it prints problems, but does not always fail for them."""
    heading("What systemd-analyze verify says")
    if shutil.which("systemd-analyze") is None:
        print("Left out: there is no systemd-analyze here.")
        return True
    names = {path.name.removesuffix(".d") for path in out.iterdir()}
    units = sorted(name for name in names if name.endswith(UNIT_SUFFIXES))
    result = subprocess.run(
        # Without the check that unitgen's own man page is installed here.
        ["systemd-analyze", "verify", "--man=no", *units],
        # The last colon adds the usual places, for the template that the overrides belong to.
        env=os.environ | {"SYSTEMD_UNIT_PATH": f"{out}:"},
        capture_output=True,
        text=True,
    )
    print(result.stderr.strip() or f"Nothing to object to in {len(units)} units.")
    return result.returncode == 0 and not result.stderr.strip()


def obstacle() -> str:
    """Why no host can be booted here; empty if one can."""
    if os.geteuid() != 0:
        return "that needs root"
    absent = [tool for tool in ("debootstrap", "systemd-nspawn", "nsenter") if shutil.which(tool) is None]
    return f"{', '.join(absent)} is missing" if absent else ""


def boot(examples: list[Example]) -> bool:
    """Boot a Debian host with unitgen and the examples on it, and look whether their containers run."""
    heading("A Debian 12 host with all of them")
    try:
        with NspawnHost("bookworm") as host:
            prepare(host, examples)
            start = time.monotonic()
            host.boot()
            print(f"Booted in {time.monotonic() - start:.1f} s.")
            return show_containers(host, examples)
    except (HostError, TreeError, subprocess.CalledProcessError) as error:
        print(f"demo: {error}")
        return False


def prepare(host: NspawnHost, examples: list[Example]) -> None:
    """Install unitgen, the examples and the trees they run, before the boot."""
    subprocess.run([CHECKOUT / "packaging/install", host.tree], check=True)
    for example in examples:
        place_container(host, example.name, Container(example.text, example.tree, place=example.place))
        for folder in example.folders:
            (host.tree / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)


def show_containers(host: Host, examples: list[Example]) -> bool:
    """Start those that do not start by themselves, wait for all, and tell of each that does not run."""
    units = [unit(example.name) for example in examples]
    for example in examples:
        if not example.autostart:
            host.run(["systemctl", "start", unit(example.name)], check=False)
    host.run(["systemctl", "is-system-running", "--wait"], check=False)
    # What fails at once would still pass for running in its first moment.
    time.sleep(2)
    print(host.run(["machinectl", "--no-pager", "list"]).stdout)
    print(host.run(["systemctl", "--no-pager", "--all", "list-units", "systemd-nspawn@*"]).stdout)
    states = host.run(["systemctl", "is-active", *units], check=False).stdout.split()
    lost = [name for name, state in zip(units, states, strict=True) if state != "active"]
    for name in lost:
        print(host.run(["systemctl", "--no-pager", "--full", "status", name], check=False).stdout)
    print(f"{len(units) - len(lost)} of {len(units)} containers are running.")
    return not lost


def heading(text: str) -> None:
    """Set one part off from the next."""
    print(f"\n== {text}\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
