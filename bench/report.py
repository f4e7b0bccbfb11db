"""Writes the tables and plots of docs/benchmarks.md from docs/benchmarks/*.json: what stands between its marker comments is made here.

usage: python3 bench/report.py
"""
import json
import os
import sys

from world import ROOT, ROUND_TRIPS_MS  # first: it says where the lab is
import svg
import table

FOLDER = os.path.join(ROOT, "docs", "benchmarks")
PAGE = os.path.join(ROOT, "docs", "benchmarks.md")
CAPTIONS = {
    "a": "a: the old link goes, a new one comes, at once", "a-silent": "a, and M has nothing to send",
    "b": "b: both links for 2 s, then the old one dies",
    "c": "c: silent death of the old link", "c-down": "c, only toward M", "c-up": "c, only from M",
    "d": "d: both ends move at the same instant",
    "e": "e: the NAT forgets its mappings", "e-silent": "e, and M has nothing to send",
    "a-relay": "a, by relay only", "d-relay": "d, by relay only", "idle": "idle: nothing happens",
}
PROCESSING_MS = 2
README_CASES = ("a", "a-silent (K public)", "c", "d")


def base(case):
    return case.replace(" (K public)", "")


def caption(case):
    return CAPTIONS[base(case)] + (" (K public)" if "K public" in case else "")


def load(name):
    path = os.path.join(FOLDER, f"{name}.json")
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def find(document, case, metric):
    return next((row for row in document["rows"] if row["case"] == case and row["metric"] == metric), None)


def ms(value):
    if value is None:
        return "never"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def three(row, name):
    """p50 / p99 / max of one contender."""
    if not row or name not in row["samples"]:
        return "-"
    sample = row["samples"][name]
    return " / ".join(ms(table.quantile(sample, share)) for share in (0.5, 0.99, 1))


def worse(document, case, kind, name):
    """The worse direction's p50."""
    rows = [find(document, case, f"{kind}-to-{end}") for end in ("m", "k")]
    samples = [row["samples"][name] for row in rows if row and name in row["samples"]]
    values = [table.quantile(sample, 0.5) for sample in samples]
    return None if any(value is None for value in values) or not values else max(values)


def total(document, case, metric, name):
    row = find(document, case, metric)
    return str(sum(row["samples"][name])) if row and name in row["samples"] else "-"


def lost(document, case, name):
    rows = [find(document, case, f"lost-to-{end}") for end in ("m", "k")]
    return sum(table.quantile(row["samples"][name], 0.5) for row in rows if row and name in row["samples"])


def names_of(document, case):
    found = [name for row in document["rows"] if row["case"] == case for name in row["samples"]]
    return [name for name in svg.COLOURS if name in found]


def cases_of(document):
    return list(dict.fromkeys(row["case"] for row in document["rows"]))


def handover_table(document):
    lines = ["| case | | moves | gap K to M: p50 / p99 / max | gap M to K: p50 / p99 / max | lost | stall K to M | stall M to K | RTOs |",
             "|---|---|---|---|---|---|---|---|---|"]
    for case in cases_of(document):
        for number, name in enumerate(names_of(document, case)):
            lines.append(handover_line(document, case, name, number == 0))
    return lines


def handover_line(document, case, name, first):
    gaps = [find(document, case, f"gap-to-{end}") for end in ("m", "k")]
    stalls = [find(document, case, f"stall-to-{end}") for end in ("m", "k")]
    runs = max(row["runs_of"][name] for row in gaps + stalls if row and name in row["samples"])
    shown = f"**{name}**" if name == "ours" else name
    cells = [caption(case) if first else "", shown, runs, three(gaps[0], name), three(gaps[1], name), f"{lost(document, case, name):g}",
             three(stalls[0], name), three(stalls[1], name), total(document, case, "tcp-timeouts", name)]
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def goals(trips, idle_ms):
    """(case, goal in ms, how it comes about)."""
    direct = 1.05 * trips["m-k"] + PROCESSING_MS
    relay = trips["m-s"] + 3
    by_server = trips["m-k"] + 5
    made = [("a (K public)", direct, "1.05 RTT + 2"), ("a-silent (K public)", direct, "1.05 RTT + 2"),
            ("a", by_server, "M-S-K + K-M + 5"), ("a-silent", by_server, "M-S-K + K-M + 5"), ("a-relay", relay, "RTT(M, S) + 3"),
            ("d-relay", max(trips["m-s"], trips["k-s"]) + 3, "the larger RTT to the relay + 3"), ("d", trips["m-k"] + 10, "as `a` + 5")]
    if idle_ms is not None:
        made += [("b (K public)", idle_ms + 4, "idle run + 2 probes"), ("b", idle_ms + 4, "idle run + 2 probes")]
    silence = max(3 * trips["m-k"], 250)
    made += [(f"c{way}{suffix}", silence, "max(3 RTT, 250)") for way in ("", "-down", "-up") for suffix in (" (K public)", "")]
    made += [("e (K public)", direct, "1.05 RTT + 2"), ("e", direct, "1.05 RTT + 2")]
    return made


def idle_gap(document):
    """The longest silences of quiet runs: their median over both directions."""
    rows = [row for row in document["rows"] if row["case"].startswith("idle") and row["metric"].startswith("gap-")]
    values = [value for row in rows for value in row["samples"].get("ours", ()) if value is not None]
    return table.quantile(values, 0.5) if values else None


def best_other(document, case):
    values = {name: worse(document, case, "gap", name) for name in names_of(document, case) if name not in ("ours", "MPTCP")}
    alive = {name: value for name, value in values.items() if value is not None}
    if not alive:
        return "none comes back" if values else "-"
    name = min(alive, key=alive.get)
    return f"{name} {ms(alive[name])}"


def goal_table(document):
    lines = ["| case | goal, ms | how | ours, p50 of the worse direction | met | best of the others |", "|---|---|---|---|---|---|"]
    for case, goal, how in goals(ROUND_TRIPS_MS[document["topology"]], idle_gap(document)):
        if "ours" in names_of(document, case):
            ours = worse(document, case, "gap", "ours")
            verdict = "yes" if ours is not None and ours <= goal else "no" + (f", {ours - goal:+.1f}" if ours is not None else "")
            lines.append(f"| {caption(case)} | {goal:.1f} | {how} | **{ms(ours)}** | {verdict} | {best_other(document, case)} |")
    return lines


def panels_of(document, cases):
    rows = [(case, find(document, case, "gap-to-m")) for case in cases]
    return [(caption(case), row["samples"]) for case, row in rows if row]


def plots(document, name):
    """The gap toward M, as cumulative distributions, and one move probe by probe."""
    cases = ("a", "a (K public)", "a-silent (K public)", "b", "c", "d", "e", "a-relay")
    cases = [case for case in cases if find(document, case, "gap-to-m")]
    wanted = dict((case, goal) for case, goal, _ in goals(ROUND_TRIPS_MS[document["topology"]], idle_gap(document)))
    lines = dict((caption(case), wanted.get(case)) for case in cases)
    svg.cumulative(os.path.join(FOLDER, f"{name}-gap.svg"), "Moves whose gap toward M was no longer than; dashed: our goal",
                   panels_of(document, cases), lines)
    if name == "handover-plain":
        svg.cumulative(os.path.join(FOLDER, "gap.svg"), "Moves whose gap toward M was no longer than; dashed: our goal",
                       panels_of(document, README_CASES), lines)
    stories = [story for story in document["stories"] if story["case"] == "a" and "to_m" in story["story"]]
    told = {story["contender"]: story["story"]["to_m"] for story in stories}
    chosen = [(who, told[who]) for who in ("ours", "wireguard-go (hub at S)", "iroh", "Tailscale") if who in told]
    if chosen:
        svg.timeline(os.path.join(FOLDER, f"{name}-move.svg"),
                     "One move (case a), K to M: ms a probe was under way, by when it left (move at 0); black: lost", chosen)


def handover_section(document, name):
    plots(document, name)
    text = [f"![Gap toward M, cumulative](benchmarks/{name}-gap.svg)", ""]
    text += goal_table(document) + ["", f"![One move, probe by probe](benchmarks/{name}-move.svg)", ""]
    return text + handover_table(document)




def papers_first_byte(trips):
    """One way M-S-S2-K and then there and back, or M's own news and then one way: whichever is less. No goal with one coordinator."""
    if "s-s2" not in trips:
        return None
    chain = (trips["m-s"] + trips["s-s2"] + trips["k-s2"]) / 2
    return 1.05 * min(chain + trips["m-k"], trips["m-s"] + trips["s-s2"] + trips["m-k"] / 2)


def quiet_section(document, _name):
    return goal_table(document) + [""] + handover_table(document)


CONTACT_GOALS = {("stranger", "answer"): ("RTT(M, S) + RTT, x 1.05",
                                          lambda t: None if "s-s2" in t else 1.05 * (t["m-s"] + t["m-k"])),
                 ("stranger", "first-byte"): ("min(M-S-S2-K + RTT, RTT(M-S-S2) + M-K), x 1.05", papers_first_byte),
                 ("known", "first-byte"): ("one way + 2", lambda t: t["m-k"] / 2 + PROCESSING_MS),
                 ("registration", "answer"): ("RTT(M, S) + 2", lambda t: t["m-s"] + PROCESSING_MS)}


def contact_section(document, _name):
    lines = ["| case | measure | | rounds | ms: p50 / p99 / max | goal |", "|---|---|---|---|---|---|"]
    for row in document["rows"]:
        if row["metric"] == "dns":
            row["samples"] = {name: sample for name, sample in row["samples"].items() if name == "ours"}
        how, goal = CONTACT_GOALS.get((base(row["case"]), row["metric"]), (None, None))
        for name in [name for name in svg.COLOURS if name in row["samples"]]:
            target = goal(ROUND_TRIPS_MS[document["topology"]]) if goal and name == "ours" else None
            wanted = f"{target:.0f}: {how}" if target else ""
            shown = f"**{name}**" if name == "ours" else name
            lines.append(f"| {row['case']} | {row['metric']} | {shown} | {row['runs_of'][name]} | {three(row, name)} | {wanted} |")
    return lines


SECTIONS = {"handover-plain": handover_section, "handover-quiet": quiet_section, "handover-papers": handover_section,
            "contact-plain": contact_section, "contact-papers": contact_section, "contact-edge": contact_section}


def replace(page, name, lines):
    """What stands between a section's markers becomes these lines."""
    begin, end = f"<!-- {name}: made by bench/report.py -->", f"<!-- {name}: end -->"
    if begin not in page or end not in page:
        print(f"report: no place for {name} in {PAGE}", file=sys.stderr)
        return page
    head, rest = page.split(begin, 1)
    return head + begin + "\n" + "\n".join(lines) + "\n" + end + rest.split(end, 1)[1]


def main():
    with open(PAGE, encoding="utf-8") as file:
        page = file.read()
    for name, section in SECTIONS.items():
        document = load(name)
        if document:
            page = replace(page, name, section(document, name))
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
