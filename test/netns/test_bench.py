"""The rulers of the packet path work: they measure, and what they write is complete. No figure is judged."""
import json
import os
import subprocess
import sys

from lab import ROOT, demand

CONTENDERS = ("copy loop R1", "ours")


def test_bench_throughput(new_lab):
    """A round of the throughput bench over a wire that cuts trains and joins them again: TCP and trains of UDP, the copy loop beside ours."""
    with new_lab(nodes=(), servers=()) as lab:
        path = lab.path("throughput.json")
        words = [sys.executable, os.path.join(ROOT, "bench", "throughput.py"), "--rounds", "2", "--seconds", "0.3", "--json", path,
                 "--wire", "segmented-gro", "--case", "tcp-1", "udp-gso", "--contender", *CONTENDERS]
        done = subprocess.run(words, env={**os.environ, "NTM_LAB_TOGETHER": "1"}, capture_output=True, text=True, check=False, timeout=120)
        demand(done.returncode == 0, f"the bench failed: {(done.stderr or done.stdout)[-500:]}")
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
        rows = {(row["case"], row["metric"]): row for row in document["rows"]}
        for case in ("tcp-1/segmented-gro", "udp-gso/segmented-gro"):
            for metric in ("rate", "cpu", "cpu-machine"):
                row = rows.get((case, metric))
                demand(row and set(row["spread"]) == set(CONTENDERS), f"{case} {metric} was not measured: {done.stdout[-500:]}")
                demand(row["ours"] > 0 and row["ratio"][CONTENDERS[0]] > 0, f"{case} {metric}: {row}")
        judged = [goal["against"] for goal in rows["tcp-1/segmented-gro", "rate"]["goals"]]
        demand(judged == [CONTENDERS[0]], f"goals judged without wireguard-go: {judged}")
