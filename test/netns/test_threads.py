"""Several threads that move packets in each node: streams both ways through all of them, moves, and no flow that changes its order."""
import os
import re

from lab import demand, wait_for
from services import Download, Web, make_file
from test_join import two_joined

FILE_BYTES = 16 << 20
STREAMS = 6
THREADS = 4
TRIES = 4
CONNECTIONS = 12
METRICS = "127.0.0.1:9100"
REORDERED = ("TcpExtTCPSACKReorder", "TcpExtTCPTSReorder", "TcpExtTCPRenoReorder")


def restart_with(node, *options):
    """The daemon again, with these."""
    node.ntm("down", check=True)
    node.start_daemon(None, *options)
    node.wait_up()


def threads_of(node):
    return node.status()["packet_path"]["threads"]


def reorderings(node):
    """What the kernel's TCP has seen of segments that came in another order than they were sent."""
    shown = node.run("nstat", "-asz", *REORDERED, check=True).stdout
    return sum(int(float(found[1])) for found in re.finditer(r"^\w+Reorder\s+(\d+)", shown, re.MULTILINE))


def serve(lab):
    """A web server on each. Returns the digests of their files."""
    digests = {}
    for node in (lab.a, lab.b):
        www = lab.path(f"www-{node.name}")
        os.makedirs(www)
        digests[node] = make_file(os.path.join(www, "file"), FILE_BYTES)
        Web(node, www, 4 << 20)
    return digests


class Stream(Download):
    """One of several downloads on a host."""

    def __init__(self, here, there, number):
        super().__init__(here, f"http://{there.fqdn.rstrip('.')}/file", FILE_BYTES, f"download-{number}")


def start_streams(lab):
    return [(Stream(here, there, number), there) for number in range(STREAMS // 2)
            for here, there in ((lab.a, lab.b), (lab.b, lab.a))]


def touch_queues(lab):
    """So many short connections that all of them out of one queue would be a wonder."""
    for here, there in ((lab.a, lab.b), (lab.b, lab.a)):
        here.run("curl", "-sf", "-H", "Connection: close", *[f"http://{there.fqdn.rstrip('.')}/hello"] * CONNECTIONS, check=True)


def doubts(node):
    """How often data has taken another way, or may have: then a later packet may be faster, whoever sends it."""
    page = node.run("curl", "-s", f"http://{METRICS}/metrics", check=True).stdout
    return sum(int(found[1]) for found in re.finditer(r"^ntm_node_path_(?:doubts|changes)_total\S* (\d+)$", page, re.MULTILINE))


def stream_in_order(lab, digests):
    """Streams both ways. False: some segments came in another order, but their way was in doubt meanwhile."""
    before = {node: (reorderings(node), doubts(node)) for node in (lab.a, lab.b)}
    for download, there in start_streams(lab):
        download.finish(digests[there])
    seen = {node.name: reorderings(node) - before[node][0] for node in before}
    demand(not any(seen.values()) or any(doubts(node) != before[node][1] for node in before),
           f"TCP saw segments in another order: {seen}")
    return not any(seen.values())


def test_threads(new_lab):
    """Two nodes of four threads each: streams both ways use all that the kernel steers to, in order, and survive moves of either end."""
    with new_lab() as lab:
        two_joined(lab)
        for node in (lab.a, lab.b):
            restart_with(node, "--threads", str(THREADS), "--metrics", METRICS)
            demand(len(threads_of(node)) == THREADS, f"{node.name} has the threads {threads_of(node)}")
            demand(f"{THREADS} move packets" in node.ntm("status").stdout, f"{node.name}'s status does not tell of them")
        digests = serve(lab)
        lab.a.ntm("ping", "b", "-c", "1", check=True)
        lab.a.wait_path(lab.b, "direct")
        demand(any(stream_in_order(lab, digests) for _ in range(TRIES)),
               f"the streams' way was in doubt {TRIES} times, and segments overtook others")
        touch_queues(lab)
        for node in (lab.a, lab.b):
            threads = threads_of(node)
            demand(all(t["packets"] > 0 for t in threads if t["reads"] == "tun"), f"a queue of {node.name} got nothing: {threads}")
            demand(sum(t["moved"] for t in threads) == 0, f"flows of {node.name} came out of another queue than before: {threads}")
            demand(sum(t["bytes"] for t in threads if t["reads"] == "udp") > 3 * FILE_BYTES, f"the loop of {node.name} did it: {threads}")
        streams = start_streams(lab)
        for node, place in ((lab.a, "cell"), (lab.b, "cell"), (lab.a, "home")):
            node.move(place)
            for download, _ in streams:
                download.wait_more(1 << 20)
        for download, there in streams:
            download.finish(digests[there])
        demand(lab.everywhere("clear") == 0, "a virtual address was seen in clear")
        for node in (lab.a, lab.b):
            node.ntm("down", check=True)
            wait_for(f"{node.name}'s daemon to end", lambda node=node: not node.daemon.running())
