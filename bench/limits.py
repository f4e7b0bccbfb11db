"""What each row should reach, and whether it does. A bench adds its goals here."""
import collections

# of: whose value; share: at least or at most that often what `against` has in the same row, or in the row of `case_against` with the same
# wire, or without either the value itself. cases are without their wire.
Goal = collections.namedtuple("Goal", "bench cases metric way share against case_against of", defaults=(None, None, "ours"))
WIREGUARD, COPY_LOOP, COPY_ONE = "wireguard-go", "copy loop R1", "copy loop R1p"
BORINGTUN = "boringtun, 1 thread"


def least(bench, cases, metric, share, against=None, **more):
    return Goal(bench, cases.split(), metric, "least", share, against, **more)


def most(bench, cases, metric, share, against=None, **more):
    return Goal(bench, cases.split(), metric, "most", share, against, **more)


FORWARDER, MANY_PAIRS = "UDP forwarder R3", "ours, 100,000 pairs"

GOALS = [
    least("throughput", "tcp-1/whole", "rate", 3.8, WIREGUARD),
    least("throughput", "tcp-1/segmented tcp-1/segmented-gro", "rate", 4, WIREGUARD),
    least("throughput", "tcp-1", "rate", 0.97, COPY_LOOP),
    least("throughput", "tcp-4 tcp-both", "rate", 4.4, WIREGUARD),
    least("throughput", "tcp-4 tcp-both", "rate", 0.9, COPY_LOOP),
    least("throughput", "tcp-both", "rate", 1.1, "ours", case_against="tcp-1"),
    most("throughput", "tcp-1 tcp-4 tcp-both", "cpu", 0.19, WIREGUARD),
    least("throughput", "udp-1372", "rate", 4, WIREGUARD),
    least("throughput", "udp-gso", "rate", 7, WIREGUARD),
    least("throughput", "tcp-1", "rate", 2, WIREGUARD, of="ours (OpenSSL)"),
    least("throughput", "tcp-1", "rate", 1.5, WIREGUARD, of="ours (ChaCha20-Poly1305)"),
    least("handshake", "fresh known", "share", 0.85),
    most("handshake", "lan", "first-data-p50", 250),
    least("relay", "gso-100 gso-1200", "rate", 50, "coturn"),
    least("relay", "gso-100 gso-1200", "rate", 0.95, FORWARDER),
    least("relay", "single-100 single-1200", "rate", 0.9, FORWARDER),
    most("relay", "single-100 single-1200", "cpu", 1, FORWARDER),
    least("relay", "pairs-gso pairs-single", "rate", 0.8, "ours", of=MANY_PAIRS),
    most("relay", "pairs", "memory", 512, of=MANY_PAIRS),
    least("relay", "xdp-v4 xdp-v6 xdp-limited", "rate", 0.85, "XDP swap R4"),
    most("relay", "xdp-v4 xdp-v6 xdp-limited xdp-crossed", "program", 60),
    least("small", "one-way both-ways", "rate", 2.5, WIREGUARD),
    least("small", "one-way both-ways", "rate", 0.9, COPY_ONE),
    most("latency", "idle", "added-p50", 1, BORINGTUN),
    most("latency", "idle", "added-p50", 0.36, WIREGUARD),
    most("latency", "idle", "added-p99", 0.45, WIREGUARD),
    most("latency", "stream", "added-p99", 0.25, WIREGUARD),
    most("memory", "idle daemon-0 daemon-1 daemon-10", "rss", 6 * 1024),
    most("memory", "idle daemon-0 daemon-1 daemon-10", "wake-ups", 1),
    most("memory", "machine-public-10 machine-public-50 machine-public-200 machine-nat-10 machine-nat-50", "heap-per-peer", 2048),
    most("memory", "machine-public-0 machine-public-1 machine-public-10 machine-public-50 machine-public-200", "wake-ups", 1),
    most("memory", "machine-nat-0 machine-nat-1 machine-nat-10 machine-nat-50", "wake-ups", 1),
]


def shown(number):
    """Three figures that mean something, or what there is before the point."""
    if number is None:
        return "-"
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def value(row, name):
    return row["ours"] if name == "ours" else row["peer"].get(name)


def concerns(goal, case):
    """A goal's case names one wire, or every wire."""
    return case in goal.cases or case.split("/")[0] in goal.cases


def other_row(rows, row, case):
    """The row of another case with the same metric and wire."""
    _, slash, wire = row["case"].partition("/")
    return next((one for one in rows if one["case"] == case + slash + wire and one["metric"] == row["metric"]), None)


def measured(goal, row, rows):
    """What is compared with the goal's share, or None where one side was not measured."""
    ours = value(row, goal.of)
    if goal.case_against:
        row = other_row(rows, row, goal.case_against)
    if ours is None or row is None:
        return None
    if goal.against is None:
        return ours
    theirs = value(row, goal.against)
    return ours / theirs if theirs else None


def judge(bench, rows):
    """Puts into each row what became of its goals."""
    for row in rows:
        row["goals"] = []
        for goal in GOALS:
            if goal.bench == bench and goal.metric == row["metric"] and concerns(goal, row["case"]):
                reached = measured(goal, row, rows)
                if reached is not None:
                    met = reached >= goal.share if goal.way == "least" else reached <= goal.share
                    row["goals"].append({"of": goal.of, "way": goal.way, "share": goal.share, "against": goal.against,
                                         "case": goal.case_against, "reached": round(reached, 3), "met": met})


def count(rows):
    """(goals met, goals judged, rows that meet all of theirs, rows that have any)."""
    judged = [row["goals"] for row in rows if row.get("goals")]
    goals = [goal["met"] for each in judged for goal in each]
    return sum(goals), len(goals), sum(all(goal["met"] for goal in each) for each in judged), len(judged)


def verdict(rows):
    met, goals, good, judged = count(rows)
    if not judged:
        return "No row of these has a goal that could be judged."
    return f"{good} of {judged} rows meet their goals; of the single goals {met} of {goals}."


def wanted_and_reached(goal):
    """One goal and what became of it, for people."""
    of = "" if goal["of"] == "ours" else f" ({goal['of']})"
    if goal["against"] is None:
        return shown(goal["share"]), f"{shown(goal['reached'])}{of}"
    case = f" at {goal['case']}" if goal["case"] else ""
    return f"{goal['share']:g} x {goal['against']}{case}", f"{goal['reached']:.3g} x{of}"


def words(goal):
    """The same in one line."""
    wanted, reached = wanted_and_reached(goal)
    return f"at {goal['way']} {wanted}: {reached}, {'met' if goal['met'] else 'missed'}"


def unjudged(bench, rows):
    """Goals of a bench for which its rows have nothing to judge: a case that did not run, a contender that was left out."""
    judged = [(row["case"], row["metric"], goal["share"], goal["against"], goal["of"]) for row in rows for goal in row.get("goals", ())]
    return [(case, goal) for goal in GOALS if goal.bench == bench for case in goal.cases
            if not any(one[1:] == (goal.metric, goal.share, goal.against, goal.of) and case in (one[0], one[0].split("/")[0])
                       for one in judged)]
