"""`./run bench`: measures, prints, and writes docs/bench.md and docs/bench.svg."""

import argparse
from collections.abc import Callable
from typing import NamedTuple

from tests.bench import boot, firewall, generators, podman, reload, report, runs, table
from tests.bench.plot import Line, svg
from tests.bench.room import room
from tests.testbed.trees import tree

# How often each is measured, by the number of specs.
ROUNDS = {0: 31, 1: 31, 10: 31, 100: 15, 1000: 7, 10000: 3}
QUICK = {0: 9, 1: 9, 10: 9, 100: 5, 1000: 3}


class Part(NamedTuple):
    """A part of the benchmark: measures, and returns what it has found in Markdown."""

    measure: Callable[[bool], str]
    needs_vm: bool = False


def main() -> None:
    """The parts that are asked for."""
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, fewer specs, and write nothing")
    parser.add_argument("--vm", action="store_true", help="with the parts that need a virtual machine")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all by default")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    for name in arguments.parts or PARTS:
        if PARTS[name].needs_vm and not arguments.vm:
            print(f"{name}: only with --vm")
            continue
        found = PARTS[name].measure(arguments.quick)
        print(found)
        if not arguments.quick:
            report.write(name, found)


def bench_generators(quick: bool) -> str:
    """The generators side by side."""
    found = {}
    with room() as place:
        for count, rounds in (QUICK if quick else ROUNDS).items():
            print(f"{count} specs, {rounds} rounds", flush=True)
            found[count] = generators.measure(place, count, rounds)
            generators.check_same(found[count])
        note = report.circumstances(place, ["systemd", "podman", "python3"])
    if not quick:
        report.PICTURE.write_text(draw(found))
    return f"{note}\n\n{table.markdown(table.generators(found))}\n{table.markdown(table.growth(found))}"


def bench_runs(quick: bool) -> str:
    """What one run does."""
    with room() as place:
        found = runs.measure(place)
        ours, bare = runs.count_modules(place)
        note = report.circumstances(place, ["systemd", "podman", "python3"])
    modules = f"A cold run imports {ours} modules of Python; the bare interpreter {bare}, a warm run none."
    return f"{note}\n\n{table.markdown(runs.rows(found))}\n{modules}"


def bench_boot(quick: bool) -> str:
    """Boots with many containers."""
    count = 10 if quick else 50
    note = report.circumstances(tree("podman", "trixie"), ["systemd"])
    return (
        f"{note} {count} containers.\n\n{table.markdown(boot.rows(boot.measure(1 if quick else 5, count)))}"
    )


def bench_reload(quick: bool) -> str:
    """Reloads of the manager."""
    found = reload.measure((0, 100) if quick else (0, 100, 1000), 3 if quick else 7)
    note = report.circumstances(tree("podman", "trixie"), ["systemd"])
    return f"{note}\n\n{table.markdown(reload.rows(found))}"


def bench_firewall(quick: bool) -> str:
    """The network of a container at its start."""
    found = firewall.measure(3 if quick else 15, (0, 9) if quick else (0, 49))
    note = report.circumstances(tree("podman", "trixie"), ["systemd", "iptables", "nftables"])
    return f"{note}\n\n{table.markdown(firewall.rows(found))}\n{firewall.list_programs(found)}"


def bench_podman(quick: bool) -> str:
    """Containers of podman and of unitgen on one machine."""
    count = 5 if quick else 20
    found = podman.measure(1 if quick else 3, count)
    note = report.circumstances(tree("vm-podman", "trixie"), ["systemd", "podman", "crun", "netavark"])
    return f"{note} {count} containers.\n\n{table.markdown(podman.rows(found))}"


def draw(found: dict[int, dict[str, generators.Figures]]) -> str:
    """The plot: CPU time against the number of specs; none has no place on a logarithmic axis."""
    shown = (generators.COLD, generators.CHANGED, generators.WARM, generators.QUADLET)
    lines = [
        Line(one.name, [(count, 1e3 * all_[one.name].cpu) for count, all_ in found.items() if count])
        for one in shown
    ]
    return svg("CPU time of one generator run", "specs", "ms", lines)


PARTS: dict[str, Part] = {
    "generators": Part(bench_generators),
    "runs": Part(bench_runs),
    "boot": Part(bench_boot),
    "firewall": Part(bench_firewall),
    "reload": Part(bench_reload),
    "podman": Part(bench_podman, needs_vm=True),
}


if __name__ == "__main__":
    main()
