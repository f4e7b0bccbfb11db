"""Writes the tables and plots of docs/benchmarks.md, and its pages in docs/benchmarks, from docs/benchmarks/*.json: what stands between
marker comments is made here. Why a goal is missed is in docs/benchmarks/reasons.toml, written by hand.

usage: python3 bench/report.py
"""
import json
import os
import sys

from world import ROOT, ROUND_TRIPS_MS  # first: it says where the lab is
import pages
import svg
import table
from goals import (CONTACT_GOALS, FOLDER, base, caption, cases_of, excess, find, goal_table, goals, idle_gap, lost, ms, names_of,
                   read_reasons, reason_lines, stream_table, total)

PAGE = os.path.join(ROOT, "docs", "benchmarks.md")
README_CASES = ("a", "a-silent (K public)", "c", "d")


def load(name):
    path = os.path.join(FOLDER, f"{name}.json")
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def three(row, name):
    """p50 / p99 / max of one contender."""
    if not row or name not in row["samples"]:
        return "-"
    sample = row["samples"][name]
    return " / ".join(ms(table.quantile(sample, share)) for share in (0.5, 0.99, 1))


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


EARLIER = ("Measured by an earlier form of the bench and an earlier build (before decisions 26 and 31) on a machine that was busy "
           "otherwise: load average 6 to 37, 2 to 15 moves a cell. Medians mean something, maxima do not.")


def late_words(session):
    percent = session.get("late_percent")
    return "" if percent is None else f", {percent} % of all frames by more than 0.5 ms" + (": void" if percent > 1 else "")


def session_lines(document):
    """When and how it was measured, as the run itself has noted it."""
    lines = []
    for one in document.get("sessions", []):
        begun = one["begun"][:16].replace("T", " ")
        lines.append(f"{begun} UTC: {one['moves']} moves in {one['minutes']:.0f} minutes on {one['cores']} cores, at the end "
                     f"{one['side_by_side']} side by side; {one['void']} more were void. Load average {one['load_p50']} (median; "
                     f"at most {one['load_max']}), wires late by {one['late_us_p50']} us at p99 (at most {one['late_us_max']})" + late_words(one) + ".")
    return [" ".join(lines) or EARLIER, ""]


def handover_section(document, name):
    plots(document, name)
    write_cells(document, name)
    text = [*session_lines(document), f"Every contender's every cell: [{name}](benchmarks/{name}.md).", "",
            f"![Gap toward M, cumulative](benchmarks/{name}-gap.svg)", "", *goal_table(document), ""]
    text += ["TCP in all of these:", "", *stream_table(document), "", *reason_lines(document, read_reasons()), ""]
    return text + ([f"![One move, probe by probe](benchmarks/{name}-move.svg)"] if document["stories"] else [])


def write_cells(document, name):
    """All figures of a topology, on a page of its own."""
    with open(os.path.join(FOLDER, f"{name}.md"), "w", encoding="utf-8") as file:
        file.write(f"# Moves, every cell: {name}\n\nMade by bench/report.py; what it means is in [benchmarks](../benchmarks.md). "
                   "Milliseconds; \"never\" is not within 20 s of a silent death, not within 30 s otherwise.\n\n")
        file.write("\n".join([*session_lines(document), *handover_table(document)]) + "\n")


QUIET = """### The same on a quiet machine, the quick ones only

Four minutes half an hour later, with a later build and nothing else at work (load 2 to 4, the bench's own): 1 to 7 moves a cell, but maxima
that mean something.
"""


def quiet_section(document, _name):
    write_cells(document, "handover-quiet")
    return [QUIET, *goal_table(document), "", "Every cell: [handover-quiet](benchmarks/handover-quiet.md)."]


def edge_section(document, name):
    """Of the edge variant: servers near both ends."""
    return ["### The papers' edge variant", "", "Servers at the edge: round trips M-S 15, S-S2 101, K-S2 15, M-K 131, K-S 116 ms.", "",
            *handover_section(document, name)]


def contact_section(document, _name):
    lines = ["| case | measure | | rounds | ms: p50 / p99 / max | goal |", "|---|---|---|---|---|---|"]
    for row in document["rows"]:
        if row["metric"] == "dns":
            row["samples"] = {name: sample for name, sample in row["samples"].items() if name == "ours"}
        how, goal = CONTACT_GOALS.get((base(row["case"]), row["metric"]), (None, None))
        for name in [name for name in svg.COLOURS if name in row["samples"]]:
            target = goal(ROUND_TRIPS_MS[document["topology"]]) if goal and name == "ours" else None
            wanted = f"{target:.0f}: {how}; met: {excess(table.quantile(row['samples'][name], 0.5), target)}" if target else ""
            shown = f"**{name}**" if name == "ours" else name
            lines.append(f"| {row['case']} | {row['metric']} | {shown} | {row['runs_of'][name]} | {three(row, name)} | {wanted} |")
    return lines


def edge_contact_section(document, name):
    return ["Over the edge variant of the papers, where it took 440.2 ms:", "", *contact_section(document, name)]


SECTIONS = {"handover-plain": handover_section, "handover-quiet": quiet_section, "handover-papers": handover_section,
            "handover-edge": edge_section, "contact-plain": contact_section, "contact-papers": contact_section,
            "contact-edge": edge_contact_section, **{name: pages.section for name in pages.FAMILY}}


def replace(page, name, lines):
    """What stands between a section's markers becomes these lines; a section without a document becomes empty."""
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
        page = replace(page, name, section(document, name) if document else [])
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
