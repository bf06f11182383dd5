"""Rules as nft(8) reads them: one table for each container and IP version."""

from collections.abc import Iterable, Iterator

from unitgen.firewall import GUARD, LEAVE, PASS, PUBLISH, REFUSE, Rule
from unitgen.ports import list_pairs

# The base chains that lead to each of ours, at the priorities of the like tables of iptables. What lets
# traffic pass is not here: an accept in one table takes nothing back that another drops.
_HOOKS = {
    GUARD: (("filter", "prerouting", -300),),
    REFUSE: (("filter", "forward", -150), ("filter", "input", -150)),
    PUBLISH: (("nat", "prerouting", -100), ("nat", "output", -100)),
    LEAVE: (("nat", "postrouting", 100),),
}
_FAMILIES = {4: "ip", 6: "ip6"}
_STATES = {"established": "ct state established,related", "dnat": "ct status dnat"}
_MARK = "0x2000000"
_NEIGHBOURS = {
    "neighbour-solicitation": "nd-neighbor-solicit",
    "neighbour-advertisement": "nd-neighbor-advert",
}


def format_start(version: int, table: str) -> tuple[str, str]:
    """The lines that come first in the one transaction which replaces the container's table."""
    name = f"{_FAMILIES[version]} {table}"
    return f"table {name}", f"delete table {name}"


def format_rules(version: int, rules: Iterable[Rule], table: str, links: tuple[str, ...]) -> Iterator[str]:
    """The lines that add whole chains to the container's table of one IP version."""
    rules = tuple(rule for rule in rules if rule.chain != PASS)
    for chain in dict.fromkeys(rule.chain for rule in rules):
        yield f"table {_FAMILIES[version]} {table} {{"
        yield f"chain {chain} {{"
        for rule in rules:
            if rule.chain == chain:
                yield " ".join([*_match(rule, _FAMILIES[version]), _judge(rule)])
        yield "}"
        for kind, hook, priority in _HOOKS[chain]:
            base = f"type {kind} hook {hook} priority {priority}; policy accept;"
            jumps = " ".join(f"{jump};" for jump in _list_jumps(chain, hook, links))
            yield f"chain {chain}-{hook} {{ {base} {jumps} }}"
        yield "}"


def _list_jumps(chain: str, hook: str, links: tuple[str, ...]) -> Iterator[str]:
    """What of a hook's packets the container's chain has to see: refusals are for its own links alone."""
    if chain != REFUSE:
        yield f"jump {chain}"
        return
    for link in links:
        yield f'iifname "{link}" jump {chain}'
        if hook == "forward":
            yield f'oifname "{link}" jump {chain}'


def _match(rule: Rule, family: str) -> Iterator[str]:
    for key, value in (("iifname", rule.input), ("oifname", rule.output)):
        if value:
            sign = "!= " if value.startswith("!") else ""
            yield f'{key} {sign}"{value.lstrip("!").replace("+", "*")}"'
    for key, value in (("saddr", rule.source), ("daddr", rule.destination)):
        if value:
            sign = "!= " if value.startswith("!") else ""
            yield f"{family} {key} {sign}{value.lstrip('!')}"
    if rule.protocol in _NEIGHBOURS:
        yield f"icmpv6 type {_NEIGHBOURS[rule.protocol]}"
    elif rule.ports:
        yield f"{rule.protocol} dport {rule.ports.host.format()}"
    if rule.target:
        yield f"fib daddr type {rule.target}"
    if rule.state:
        yield _STATES[rule.state]
    if rule.marked:
        yield f"meta mark & {_MARK} == {_MARK}"


def _judge(rule: Rule) -> str:
    if rule.verdict == "mark":
        return f"meta mark set meta mark | {_MARK}"
    if rule.verdict != "dnat" or not rule.ports:
        return rule.verdict
    address = f"[{rule.to}]" if ":" in rule.to else rule.to
    if rule.ports.host == rule.ports.guest:
        return f"dnat to {rule.to}"
    if rule.ports.host.first == rule.ports.host.last:
        return f"dnat to {address}:{rule.ports.guest.format()}"
    # nft has no shift of a range (iptables has), so each port is named.
    pairs = ", ".join(f"{host} : {guest}" for host, guest in list_pairs(rule.ports))
    return f"dnat to {rule.to} : {rule.protocol} dport map {{ {pairs} }}"
