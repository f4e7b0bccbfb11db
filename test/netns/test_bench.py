"""The rulers of the packet path work: they measure, and what they write is complete. No figure is judged."""
import json
import os
import subprocess
import sys

from lab import ROOT, demand

CONTENDERS = ("copy loop R1", "ours")


def run_bench(lab, name, *words):
    """Two rounds of a bench beside the copy loop: its rows by case and metric, and what it has said."""
    path = lab.path(f"{name}.json")
    command = [sys.executable, os.path.join(ROOT, "bench", f"{name}.py"), "--rounds", "2", "--json", path, *words]
    done = subprocess.run(command, env={**os.environ, "NTM_LAB_TOGETHER": "1"}, capture_output=True, text=True, check=False, timeout=120)
    demand(done.returncode == 0, f"the bench failed: {(done.stderr or done.stdout)[-500:]}")
    with open(path, encoding="utf-8") as file:
        return {(row["case"], row["metric"]): row for row in json.load(file)["rows"]}, done.stdout[-500:]


def test_bench_packets(new_lab):
    """A round of small packets both ways, and of round trips under a stream: all are measured and make sense."""
    with new_lab(nodes=(), servers=()) as lab:
        rows, said = run_bench(lab, "small", "--seconds", "0.1", "--case", "both-ways", "--contender", *CONTENDERS)
        row = rows.get(("both-ways", "rate"))
        demand(row and set(row["spread"]) == set(CONTENDERS) and row["ours"] > 0, f"small packets were not measured: {said}")
        demand(rows["both-ways", "loss"]["ours"] < 1, f"small packets: {rows['both-ways', 'loss']}")
        rows, said = run_bench(lab, "latency", "--seconds", "0.2", "--case", "stream", "--contender", "bare veth", "ours")
        row = rows.get(("stream", "added-p50"))
        demand(row and row["ours"] is not None, f"round trips were not measured: {said}")
        demand(rows["stream", "p50"]["ours"] <= rows["stream", "p99"]["ours"] <= rows["stream", "max"]["ours"], f"round trips: {said}")
        demand(rows["stream", "stream"]["ours"] > 0.01, f"there was no stream: {rows['stream', 'stream']}")


def test_bench_throughput(new_lab):
    """A round of the throughput bench over a wire that cuts trains and joins them again: TCP and trains of UDP, the copy loop beside ours."""
    with new_lab(nodes=(), servers=()) as lab:
        rows, said = run_bench(lab, "throughput", "--seconds", "0.3", "--wire", "segmented-gro", "--case", "tcp-1", "udp-gso", "--contender",
                               *CONTENDERS)
        for case in ("tcp-1/segmented-gro", "udp-gso/segmented-gro"):
            for metric in ("rate", "cpu", "cpu-machine"):
                row = rows.get((case, metric))
                demand(row and set(row["spread"]) == set(CONTENDERS), f"{case} {metric} was not measured: {said}")
                demand(row["ours"] > 0 and row["ratio"][CONTENDERS[0]] > 0, f"{case} {metric}: {row}")
        judged = [goal["against"] for goal in rows["tcp-1/segmented-gro", "rate"]["goals"]]
        demand(judged == [CONTENDERS[0]], f"goals judged without wireguard-go: {judged}")
