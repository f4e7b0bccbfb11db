"""Moves as lines, as a table, and as the rows of a document."""
import json
import math
import os

from contenders import all_contenders

NEVER = None
PUBLIC_SUFFIX = " (K public)"
CASE_ORDER = ("a", "a-silent", "b", "c", "c-down", "c-up", "d", "e", "e-silent", "a-relay", "d-relay", "idle")
STORIES_OF = ("a", "d")  # of these one move a contender is kept probe by probe
# What is read from one move: key, where it lies in a move, unit.
METRICS = (
    ("gap-to-m", ("to_m", "gap_ms"), "ms"), ("gap-to-k", ("to_k", "gap_ms"), "ms"),
    ("lost-to-m", ("to_m", "lost"), "datagrams"), ("lost-to-k", ("to_k", "lost"), "datagrams"),
    ("broken-to-m", ("to_m", "broken"), "streams"), ("broken-to-k", ("to_k", "broken"), "streams"),
    ("stall-to-m", ("to_m", "stall_ms"), "ms"), ("stall-to-k", ("to_k", "stall_ms"), "ms"),
    ("tcp-timeouts", ("sockets", "timeouts"), "timeouts"), ("tcp-retransmits", ("sockets", "retransmits"), "segments"),
    ("namespace-timeouts", ("namespaces", "timeouts"), "timeouts"), ("namespace-retransmits", ("namespaces", "retransmits"), "segments"),
)
# A hub carries everything anyway: with direct datagrams cut it does what it does without.
BY_RELAY_ANYWAY = {"wireguard-go (hub at S)": {"a-relay": "a", "d-relay": "d"}}


def number(value, width=9):
    if value is NEVER:
        return "never".rjust(width)
    return f"{value:{width}.1f}" if value < 10000 else f"{value:{width}.0f}"


def pick(move, path):
    """A value in a move, or KeyError where it was not measured (a stream while M is silent)."""
    for key in path:
        move = move[key]
    return move


def values(moves, path):
    found = []
    for move in moves:
        try:
            found.append(pick(move, path))
        except KeyError:
            continue
    return found


def quantile(sample, share):
    """The smallest value that that share of the sample does not exceed; never is larger than any."""
    ordered = sorted(sample, key=lambda value: math.inf if value is NEVER else value)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def line(move):
    """One move, as it happened."""
    def way(name):
        one = move.get(name, {})
        return (f"{number(one['gap_ms'])} ms lost {one['lost']:5}" if "gap_ms" in one else " " * 23) + (
            f" stall {number(one['stall_ms'])}" if "stall_ms" in one else "")
    sockets = move.get("sockets", {})
    return (f"{move['contender']:26} {move['case']:9} K>M {way('to_m')}  M>K {way('to_k')}  "
            f"RTO {sockets.get('timeouts', '-')} retrans {sockets.get('retransmits', '-')} "
            f"late {move['late_us']['p99']} jitter {move['jitter_us']} load {move['load']}")


def cell(moves, contender, case):
    """The moves of one contender in one case."""
    case = BY_RELAY_ANYWAY.get(contender, {}).get(case, case)
    return [move for move in moves if move["contender"] == contender and move["case"] == case]


def kinds_of_k(moves):
    """(suffix of the case, contenders) for K behind a NAT and for a public K; ours first."""
    known = all_contenders()
    present = {move["contender"] for move in moves}
    names = [name for name in known if name in present]
    return [("", [n for n in names if not known[n].public]), (PUBLIC_SUFFIX, [n for n in names if known[n].public])]


def ordered_cases(moves):
    present = {move["case"] for move in moves}
    return [name for name in CASE_ORDER if name in present]


def short_name(contender):
    """The same name in either kind of K."""
    return contender.replace(PUBLIC_SUFFIX, "")


def row(case, metric, unit, samples):
    """One row: medians beside each other, and the whole samples, from which plots and other quantiles are made."""
    middle = {name: quantile(sample, 0.5) for name, sample in samples.items()}
    ours = middle.pop("ours", None)
    others = {name: value for name, value in middle.items()}
    ratio = {name: round(ours / value, 3) for name, value in others.items() if ours is not None and value}
    return {"case": case, "metric": metric, "unit": unit, "ours": ours, "peer": others, "ratio": ratio,
            "runs": len(samples.get("ours", ())),
            "runs_of": {name: len(sample) for name, sample in samples.items()},
            "p99": {name: quantile(sample, 0.99) for name, sample in samples.items()},
            "max": {name: quantile(sample, 1) for name, sample in samples.items()},
            "never": {name: sum(1 for value in sample if value is NEVER) for name, sample in samples.items()},
            "samples": samples}


def rounded(value):
    return value if value is NEVER else round(value, 2)


def rows(moves):
    made = []
    for suffix, names in kinds_of_k(moves):
        for case in ordered_cases(moves):
            for metric, path, unit in METRICS:
                samples = {short_name(name): [rounded(v) for v in values(cell(moves, name, case), path)] for name in names}
                samples = {name: sample for name, sample in samples.items() if sample}
                if samples:
                    made.append(row(case + suffix, metric, unit, samples))
    return made


def show(moves):
    """p50, p99 and the largest of the gap each way, and of the stream's stall."""
    gap = f"{'p99':>9}{'max':>9}"
    print(f"\n{'case':20}{'contender':26}{'moves':>6}  {'gap K>M: p50':>13}{gap}  {'gap M>K: p50':>13}{gap}  {'lost':>6}  "
          f"{'stall p50':>9}{'max':>9}  {'RTO':>4}")
    for suffix, names in kinds_of_k(moves):
        for case in ordered_cases(moves):
            for name in names:
                some = cell(moves, name, case)
                if some:
                    print(show_cell(case + suffix, short_name(name), some))


def show_cell(case, name, some):
    def three(way, key):
        sample = values(some, (way, key))
        return [number(quantile(sample, share)) if sample else "-".rjust(9) for share in (0.5, 0.99, 1)]
    gaps = [three("to_m", "gap_ms"), three("to_k", "gap_ms")]
    stalls = values(some, ("to_m", "stall_ms")) + values(some, ("to_k", "stall_ms"))
    stall = [number(quantile(stalls, share)) if stalls else "-".rjust(9) for share in (0.5, 1)]
    lost = values(some, ("to_m", "lost")) + values(some, ("to_k", "lost"))
    timeouts = values(some, ("sockets", "timeouts"))
    return (f"{case:20}{name:26}{len(some):6}  {gaps[0][0]:>13}{gaps[0][1]}{gaps[0][2]}  {gaps[1][0]:>13}{gaps[1][1]}{gaps[1][2]}  "
            f"{sum(lost) / len(some) if lost else 0:6.0f}  {stall[0]}{stall[1]}  {sum(timeouts) if timeouts else '-':>4}")


def read(path):
    """A document that is there already, or None."""
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def long_name(name, case):
    """The contender of a row, from its short name and whether K is public there."""
    public = case.endswith(PUBLIC_SUFFIX)
    return next((known for known, kind in all_contenders().items() if short_name(known) == name and kind.public == public), name)


def counts(document):
    """{(contender, case): (moves, those that never ended)} of what a document has."""
    found = {}
    for one in document["rows"]:
        if one["metric"] in ("gap-to-m", "gap-to-k", "stall-to-m"):
            for name, sample in one["samples"].items():
                key = (long_name(name, one["case"]), one["case"].removesuffix(PUBLIC_SUFFIX))
                moves, never = found.get(key, (0, 0))
                found[key] = (max(moves, len(sample)), max(never, sample.count(NEVER)))
    return found


def merged(old, new):
    """Rows of two runs as one: their samples one behind the other."""
    rows_by_key = {(one["case"], one["metric"]): one for one in old}
    made = []
    for one in new:
        before = rows_by_key.pop((one["case"], one["metric"]), {"samples": {}})["samples"]
        names = list(dict.fromkeys([*before, *one["samples"]]))
        samples = {name: before.get(name, []) + one["samples"].get(name, []) for name in names}
        made.append(row(one["case"], one["metric"], one["unit"], samples))
    made += rows_by_key.values()
    return sorted(made, key=row_order)


def row_order(one):
    case = one["case"].removesuffix(PUBLIC_SUFFIX)
    metrics = [name for name, _, _ in METRICS]
    return (one["case"] != case, CASE_ORDER.index(case), metrics.index(one["metric"]))


def stories_of(moves):
    """Of the moves of some cases, one a contender."""
    first = {}
    for move in moves:
        if "story" in move and move["case"] in STORIES_OF:
            first.setdefault((move["contender"], move["case"]), {key: move[key] for key in ("contender", "case", "story")})
    return first


def write(path, bench, topology, moves, session, before=None):
    """The document of a run, behind what an earlier one left in it."""
    before = before or {"rows": [], "stories": [], "sessions": []}
    stories = {**{(story["contender"], story["case"]): story for story in before["stories"]}, **stories_of(moves)}
    write_rows(path, bench, topology, merged(before["rows"], rows(moves)), stories=list(stories.values()),
               sessions=[*before.get("sessions", []), session])


def write_rows(path, bench, topology, made, **more):
    """The document, one row a line."""
    head = {"schema": "ntm.bench/1", "bench": bench, "topology": topology}
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(json.dumps(head)[:-1] + ', "rows": [\n' + ",\n".join(json.dumps(row) for row in made) + "\n]")
        for name, values in more.items():
            file.write(f', "{name}": [\n' + ",\n".join(json.dumps(value, separators=(",", ":")) for value in values) + "\n]")
        file.write("}\n")
    os.replace(path + ".new", path)
