"""Rules as iptables-restore(8) reads them."""

from collections.abc import Iterable, Iterator

from unitgen.firewall import GUARD, LEAVE, LOOPBACK, PASS, PUBLISH, REFUSE, Rule

# Table, and the built-in chains that lead to ours, each for packets that come in by a link of the container
# (-i), go out by it (-o), or for all: there may be hundreds of containers, and a packet is for one. Drops
# stand in mangle, which comes before filter and in which no firewall manager has rules; so an accept
# elsewhere cannot undo them.
_ROUTED = ("FORWARD -i {}", "FORWARD -o {}", "INPUT -i {}")
_PLACES = {
    GUARD: ("raw", ("PREROUTING -i {}",)),
    REFUSE: ("mangle", _ROUTED),
    PUBLISH: ("nat", ("PREROUTING", "OUTPUT")),
    LEAVE: ("nat", ("POSTROUTING",)),
    PASS: ("filter", _ROUTED),
}
_STATES = {"established": "RELATED,ESTABLISHED", "dnat": "DNAT"}
_MARK = "0x2000000"
# For IPv6 addresses UNICAST has the host's own in it: xt_addrtype.c looks at the address alone.
_ELSEWHERE = {
    4: "-m addrtype --dst-type UNICAST",
    6: "! -d ff00::/8 -m addrtype ! --dst-type LOCAL,ANYCAST",
}


def format_rules(
    version: int, rules: Iterable[Rule], name: str, links: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    """Each line of whole chains with its table: declarations, which empty them, then jumps, then rules."""
    rules = tuple(rules)
    for chain in dict.fromkeys(rule.chain for rule in rules):
        table, hooks = _PLACES[chain]
        own = name_own(chain, name)
        yield table, f":{own} -"
        if chain == GUARD and version == 4:
            hooks = (*hooks, f"PREROUTING ! -i lo -d {LOOPBACK[4]}")
        for jump in dict.fromkeys(hook.format(link) for link in links for hook in hooks):
            yield table, f"-I {jump} -j {own}"
        for rule in rules:
            if rule.chain == chain:
                yield table, " ".join([f"-A {own}", *_match(version, rule), *_judge(rule)])


def name_own(chain: str, name: str) -> str:
    """What a chain of the container's is called; nat has two, and machine names have no underscore."""
    return name.replace("-", "_", 1) if chain == LEAVE else name


def _match(version: int, rule: Rule) -> Iterator[str]:
    for option, value in (
        ("-i", rule.input),
        ("-o", rule.output),
        ("-s", rule.source),
        ("-d", rule.destination),
    ):
        if value:
            yield f"! {option} {value[1:]}" if value.startswith("!") else f"{option} {value}"
    if rule.protocol.startswith("neighbour-"):
        yield f"-p ipv6-icmp -m icmp6 --icmpv6-type {rule.protocol}"
    elif rule.ports:
        yield f"-p {rule.protocol} --dport {rule.ports.host.format(':')}"
    if rule.target == "unicast":
        yield _ELSEWHERE[version]
    elif rule.target:
        yield f"-m addrtype --dst-type {rule.target.upper()}"
    if rule.state:
        yield f"-m conntrack --ctstate {_STATES[rule.state]}"
    if rule.marked:
        yield f"-m mark --mark {_MARK}/{_MARK}"


def _judge(rule: Rule) -> Iterator[str]:
    yield "-j"
    if rule.verdict == "mark":
        yield f"MARK --set-xmark {_MARK}/{_MARK}"
    elif rule.verdict == "dnat" and rule.ports:
        address = f"[{rule.to}]" if ":" in rule.to else rule.to
        guest = rule.ports.guest.format()
        if rule.ports.host == rule.ports.guest:
            guest = ""  # the port stays as it is
        elif "-" in guest:
            guest += f"/{rule.ports.host.first}"  # the first one leads to the first one, and so on
        yield f"DNAT --to-destination {address}:{guest}" if guest else f"DNAT --to-destination {rule.to}"
    else:
        yield rule.verdict.upper()
