"""Pages of the benches that compare side by side on a cable: from a document's rows, goals and commands to tables and a plot."""
import os

import limits
import svg
from goals import FOLDER, read_reasons
from limits import shown

# The benches of this family, in the order in which they are shown and run by scripts/bench all; one that is not there yet is passed over.
FAMILY = {"reference": "Loops that do nothing but move datagrams", "throughput": "Throughput and its costs", "small": "Small packets",
          "latency": "Round trips", "memory": "Memory and wake-ups", "relay": "Relays", "handshake": "Handshakes"}


def cases_of(document):
    return list(dict.fromkeys(row["case"] for row in document["rows"]))


def metrics_of(document):
    """{metric: unit}, in the order in which they come."""
    return {row["metric"]: row["unit"] for row in document["rows"]}


def find(document, case, metric):
    return next((row for row in document["rows"] if (row["case"], row["metric"]) == (case, metric)), None)


def names_of(document, case):
    """Who was measured in a case: ours first, the others as they come."""
    found = list(dict.fromkeys(name for row in document["rows"] if row["case"] == case for name in row["spread"]))
    return sorted(found, key=lambda name: name != "ours")


def cell(row, name):
    """A median and its spread."""
    if not row or name not in row["spread"]:
        return "-"
    low, high = row["spread"][name]
    value = limits.value(row, name)
    return shown(value) if low == high else f"{shown(value)} ({shown(low)} to {shown(high)})"


def ratio(document, case, name):
    """How often theirs fits into ours, by the first metric of the case."""
    first = next(row for row in document["rows"] if row["case"] == case)
    return f"{first['ratio'][name]:.3g}" if name in first["ratio"] else ""


def all_table(document):
    """Every case and contender, a column a metric: median and spread."""
    metrics = metrics_of(document)
    lines = ["| case | | " + " | ".join(f"{metric}, {unit}" for metric, unit in metrics.items()) + " | ours / it |",
             "|---" * (len(metrics) + 3) + "|"]
    for case in cases_of(document):
        for number, name in enumerate(names_of(document, case)):
            cells = [cell(find(document, case, metric), name) for metric in metrics]
            bold = f"**{name}**" if name == "ours" else name
            lines.append(f"| {' | '.join((case if number == 0 else '', bold, *cells, ratio(document, case, name)))} |")
    return lines


def goal_table(document):
    """What each row should reach, and what it does."""
    lines = ["| case | | goal | measured | met |", "|---|---|---|---|---|"]
    for row in document["rows"]:
        for goal in row.get("goals", ()):
            wanted, reached = limits.wanted_and_reached(goal)
            cells = (row["case"], row["metric"], f"at {goal['way']} {wanted}", reached, "yes" if goal["met"] else "**no**")
            lines.append(f"| {' | '.join(cells)} |")
    return lines if len(lines) > 2 else []


def reason_of(reasons, document, row):
    return next((one["text"].strip() for one in reasons if one.get("bench") == document["bench"] and row["metric"] in one["what"]
                 and any(case in (row["case"], row["case"].split("/")[0]) for case in one["cases"])), None)


def missed_lines(document, reasons):
    """What misses a goal, each reason once, behind all that it explains."""
    groups = {}
    for row in document["rows"]:
        for goal in row.get("goals", ()):
            if not goal["met"]:
                wanted, reached = limits.wanted_and_reached(goal)
                text = reason_of(reasons, document, row) or "Not explained yet."
                groups.setdefault(text, []).append(f"{row['case']}, {row['metric']}: {reached} instead of {wanted}")
    if not groups:
        return []
    return ["", "What misses its goal, and why:", ""] + [f"- **{'; '.join(what)}.** {text}" for text, what in groups.items()]


def session_line(document):
    one = document["session"]
    return (f"{one['ended'][:16].replace('T', ' ')} UTC, {one['cores']} cores of an {one['processor']}, kernel {one['kernel']}: "
            f"{one['rounds']} rounds of {one['seconds']:g} s, the first dropped; load average at the end {one['load']}.")


def command_lines(document):
    """What a reader types: the bench, and what it starts."""
    one = document["session"]
    lines = ["```", f"sudo scripts/bench {document['bench']} --rounds {one['rounds']} --seconds {one['seconds']:g}"
             f" --json docs/benchmarks/{document['bench']}.json"]
    for name, commands in document.get("commands", {}).items():
        lines += [f"{name}: {command}" for command in commands]
    return [*lines, "```"]


def plot(document, path):
    """The first metric of every case, a panel each."""
    panels = []
    for case in cases_of(document):
        row = next(row for row in document["rows"] if row["case"] == case)
        bars = {name: (limits.value(row, name), *row["spread"][name]) for name in names_of(document, case) if name in row["spread"]}
        panels.append((f"{case}: {row['metric']}, {row['unit']}", bars))
    svg.bars(path, f"{document['bench']}: median, least and most", panels)


def section(document, name):
    """What docs/benchmarks.md says of a document; every figure goes to a page of its own."""
    plot(document, os.path.join(FOLDER, f"{name}.svg"))
    with open(os.path.join(FOLDER, f"{name}.md"), "w", encoding="utf-8") as file:
        file.write(f"# {FAMILY.get(name, name)}: every figure\n\nMade by bench/report.py; what it means is in "
                   "[benchmarks](../benchmarks.md). Median (least to most).\n\n")
        file.write("\n".join([session_line(document), "", *all_table(document), "", *command_lines(document)]) + "\n")
    goals = goal_table(document)
    verdict = [limits.verdict(document["rows"]), ""] if goals else []
    title = FAMILY.get(name, name)
    return [f"### {title}", "", session_line(document), "", f"![{title}](benchmarks/{name}.svg)", "", *verdict, *goals,
            *missed_lines(document, read_reasons()), "", f"Every figure, and the commands: [{name}](benchmarks/{name}.md)."]
