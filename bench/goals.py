"""What was measured in one document beside what it should be: goals by case, what misses them, and why, written by hand."""
import os
import sys
import tomllib

from world import ROOT, ROUND_TRIPS_MS  # first: it says where the lab is
import svg
import table

FOLDER = os.path.join(ROOT, "docs", "benchmarks")
CAPTIONS = {
    "a": "a: the old link goes, a new one comes, at once", "a-silent": "a, and M has nothing to send",
    "b": "b: both links for 2 s, then the old one dies",
    "c": "c: silent death of the old link", "c-down": "c, only toward M", "c-up": "c, only from M",
    "d": "d: both ends move at the same instant",
    "e": "e: the NAT forgets its mappings", "e-silent": "e, and M has nothing to send",
    "a-relay": "a, by relay only", "d-relay": "d, by relay only", "idle": "idle: nothing happens",
}
PROCESSING_MS = 2
STALL_OVER_GAP_MS = 10
STREAM_CASES = ("a", "b", "c", "c-down", "c-up", "d", "e", "a-relay", "d-relay")


def base(case):
    return case.replace(" (K public)", "")


def caption(case):
    return CAPTIONS[base(case)] + (" (K public)" if "K public" in case else "")


def find(document, case, metric):
    return next((row for row in document["rows"] if row["case"] == case and row["metric"] == metric), None)


def ms(value):
    if value is None:
        return "never"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


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
    made += [(f"{case}{suffix}", direct, "1.05 RTT + 2") for case in ("e", "e-silent") for suffix in (" (K public)", "")]
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


def goal_rows(document):
    """(case, goal, how, p50 of ours) of each case that has a goal and was measured."""
    for case, goal, how in goals(ROUND_TRIPS_MS[document["topology"]], idle_gap(document)):
        if "ours" in names_of(document, case):
            yield case, goal, how, worse(document, case, "gap", "ours")


def within(document, case, goal):
    """Of how many moves both directions were within the goal."""
    rows = [find(document, case, f"gap-to-{end}") for end in ("m", "k")]
    moves = list(zip(*(row["samples"]["ours"] for row in rows if row and "ours" in row["samples"])))
    return f"{sum(all(gap is not None and gap <= goal for gap in move) for move in moves)} of {len(moves)}"


def excess(value, goal):
    return "yes" if value is not None and value <= goal else "no" + (f", {value - goal:+.1f}" if value is not None else "")


def goal_table(document):
    lines = ["| case | goal, ms | how | ours, p50 of the worse direction | met | moves within | best of the others |",
             "|---|---|---|---|---|---|---|"]
    for case, goal, how, ours in goal_rows(document):
        lines.append(f"| {caption(case)} | {goal:.1f} | {how} | **{ms(ours)}** | {excess(ours, goal)} | {within(document, case, goal)} | "
                     f"{best_other(document, case)} |")
    return lines


def stall_over_gap(document, case, name):
    """How much longer than the datagrams' gap the stream's stall was, in each move's worse direction; moves that came back only."""
    made = []
    for end in ("m", "k"):
        gap, stall = [find(document, case, f"{kind}-to-{end}") for kind in ("gap", "stall")]
        if gap and stall and name in gap["samples"] and name in stall["samples"]:
            pairs = zip(stall["samples"][name], gap["samples"][name])
            made.append([None if None in pair else pair[0] - pair[1] for pair in pairs])
    return [max(move) for move in zip(*made) if None not in move]


def stream_row(document, case):
    """(what, goal, measured) of ours in one case; bytes are lost where a stream was broken, None where no document says."""
    over = stall_over_gap(document, case, "ours")
    timeouts = find(document, case, "tcp-timeouts")
    broken = [find(document, case, f"broken-to-{end}") for end in ("m", "k")]
    return {"stall": table.quantile(over, 0.5) if over else None,
            "timeouts": sum(timeouts["samples"]["ours"]) if timeouts and "ours" in timeouts["samples"] else None,
            "bytes": sum(sum(row["samples"]["ours"]) for row in broken) if all(broken) else None,
            "over": over}


STREAM_GOALS = {"stall": STALL_OVER_GAP_MS, "timeouts": 0, "bytes": 0}


def stream_cases(document):
    return [case for suffix in ("", " (K public)") for case in [one + suffix for one in STREAM_CASES]
            if find(document, case, "stall-to-m") and "ours" in names_of(document, case)]


def best_stream(document, case):
    """Of the others, whose stream stalled least beyond its own gap, and how often its timer ran out."""
    found = {}
    for name in names_of(document, case):
        over = stall_over_gap(document, case, name)
        if name != "ours" and over:
            found[name] = table.quantile(over, 0.5)
    if not found:
        return "-"
    name = min(found, key=found.get)
    return f"{name} {found[name]:+.1f}, timeouts {total(document, case, 'tcp-timeouts', name)}"


def stream_table(document):
    """TCP in all of these: no timeout, no byte lost, a stall not much longer than the gap."""
    lines = ["| case | moves | timeouts (goal 0) | broken streams (goal 0) | stall less gap, ms, p50 / p99 (goal 10) | met "
             "| best of the others |",
             "|---|---|---|---|---|---|---|"]
    for case in stream_cases(document):
        row = stream_row(document, case)
        met = all(row[what] <= goal for what, goal in STREAM_GOALS.items() if row[what] is not None)
        shown = f"{row['stall']:+.1f} / {table.quantile(row['over'], 0.99):+.1f}" if row["over"] else "-"
        counted = " | ".join("-" if row[what] is None else str(row[what]) for what in ("timeouts", "bytes"))
        lines.append(f"| {caption(case)} | {len(row['over'])} | {counted} | {shown} | "
                     f"{'yes' if met else 'no'} | {best_stream(document, case)} |")
    return lines


def missed(document):
    """(case, what, measured, goal) of everything that misses its goal."""
    for case, goal, _, ours in goal_rows(document):
        if ours is None or ours > goal:
            yield case, "gap", ours, goal
    for case in stream_cases(document):
        row = stream_row(document, case)
        for what, goal in STREAM_GOALS.items():
            if row[what] is not None and row[what] > goal:
                yield case, what, row[what], goal


WHAT = {"gap": "gap, ms", "stall": "stall less gap, ms", "timeouts": "timeouts", "bytes": "broken streams"}


def read_reasons():
    path = os.path.join(FOLDER, "reasons.toml")
    if not os.path.exists(path):
        return []
    with open(path, "rb") as file:
        return tomllib.load(file)["reason"]


def reason_for(reasons, document, case, what):
    return next((one for one in reasons if case in one["cases"] and what in one["what"] and
                 document["topology"] in one.get("topologies", [document["topology"]])), None)


def reason_lines(document, reasons):
    """What is missed and by how much, each reason once, behind all that it explains; what nobody has explained yet says so."""
    groups = {}
    for case, what, ours, goal in missed(document):
        reason = reason_for(reasons, document, case, what)
        if not reason and document.get("sessions"):
            print(f"report: no reason for {document['topology']} {case} {what}: {ours} instead of {goal}", file=sys.stderr)
        unknown = "not explained yet." if document.get("sessions") else "an earlier build, a busy machine."
        text = reason["text"].strip() if reason else unknown
        shown = "never" if ours is None else f"{ours:.0f}" if what in ("timeouts", "bytes") else ms(ours)
        groups.setdefault(text, []).append(f"{caption(case)}, {WHAT[what]}: {shown} instead of {goal:.4g}")
    if not groups:
        return ["Every goal is met."]
    return ["What misses its goal, and why:", ""] + [f"- **{'; '.join(what)}.** {text}" for text, what in groups.items()]


def papers_first_byte(trips):
    """One way M-S-S2-K and then there and back, or M's own news and then one way: whichever is less. No goal with one coordinator."""
    if "s-s2" not in trips:
        return None
    chain = (trips["m-s"] + trips["s-s2"] + trips["k-s2"]) / 2
    return 1.05 * min(chain + trips["m-k"], trips["m-s"] + trips["s-s2"] + trips["m-k"] / 2)


CONTACT_GOALS = {("stranger", "answer"): ("RTT(M, S) + RTT, x 1.05",
                                          lambda t: None if "s-s2" in t else 1.05 * (t["m-s"] + t["m-k"])),
                 ("stranger", "first-byte"): ("min(M-S-S2-K + RTT, RTT(M-S-S2) + M-K), x 1.05", papers_first_byte),
                 ("known", "first-byte"): ("one way + 2", lambda t: t["m-k"] / 2 + PROCESSING_MS),
                 ("registration", "answer"): ("RTT(M, S) + 2", lambda t: t["m-s"] + PROCESSING_MS)}
