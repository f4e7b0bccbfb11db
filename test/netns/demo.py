"""What scripts/demo shows: a download and a shell that do not notice that both machines change their networks under them.

usage: demo.py [--keep]     exit 0 only if every byte arrived, the shell went on, and each move was reported with its gap
"""
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import lab as laboratory  # noqa: E402
from lab import Lab, LabError, demand, program  # noqa: E402
from services import Download, Shell, Web, sha256_of  # noqa: E402

FILE_BYTES_MIN = 320 << 20
DOWNLOAD_SECONDS = 30
BAR_COLUMNS = 40
TTY = sys.stdout.isatty()

TOPOLOGY = """
                      the internet
   +----------------------------------------------------------+
   |               s  198.51.100.2   ntm serve                |
   +-----+------------------------+-----------------------+---+
         |                        |                       |
       NAT A                    NAT B                   NAT C
    203.0.113.11             203.0.113.22            203.0.113.33
         |                        |                       |
    192.168.1.0/24           192.168.1.0/24         100.64.0.0/10
     home of a                home of b            mobile network
      curl, ssh              nginx, sshd           of both
"""


def bold(text):
    return f"\033[1m{text}\033[0m" if TTY else text


class Screen:
    """Lines that stay, and below them one progress bar that moves."""

    def __init__(self):
        self.start = time.monotonic()
        self.bar = ""
        self.tenth = -1

    def say(self, text=""):
        if self.bar:
            print("\r\033[K", end="")
        print(text)
        if self.bar:
            print(self.bar, end="")
        sys.stdout.flush()

    def event(self, text):
        self.say(f"  {time.monotonic() - self.start:5.1f} s  {text}")

    def progress(self, done, size, rate):
        share = done / size
        if TTY:
            filled = int(share * BAR_COLUMNS)
            self.bar = f"  [{'#' * filled}{'.' * (BAR_COLUMNS - filled)}] {share:4.0%}  {done / 1e6:4.0f} of {size / 1e6:.0f} MB  {rate / 1e6:5.1f} MB/s"
            print(f"\r\033[K{self.bar}", end="", flush=True)
        elif int(share * 10) > self.tenth:
            self.tenth = int(share * 10)
            self.event(f"{done / 1e6:.0f} of {size / 1e6:.0f} MB")

    def end_progress(self):
        if self.bar:
            print()
        self.bar = ""


def plain_files(*tops):
    for top in tops:
        for folder, _, files in os.walk(top):
            for name in sorted(files):
                full = os.path.join(folder, name)
                if os.path.isfile(full) and not os.path.islink(full):
                    yield full


def make_tar(path):
    """A tar of /usr/lib: as many files as make FILE_BYTES_MIN."""
    names, size = [], 0
    for full in plain_files("/usr/lib", "/usr/share", "/usr/bin"):
        if size >= FILE_BYTES_MIN:
            break
        names.append(full)
        size += os.path.getsize(full)
    subprocess.run(["tar", "-cf", path, "--absolute-names", "--null", "-T", "-"], input="\0".join(names).encode(), check=True,
                   stderr=subprocess.DEVNULL)
    return os.path.getsize(path)


def typed(screen, host, *words):
    """Runs what a person would type there, and shows it."""
    shown = " ".join("ntm1-..." if word.startswith("ntm1-") else word for word in words)
    done = host.ntm(*words, *(("--dns", "stub", "--log-level", "debug") if words[0] == "up" else ()), check=True)
    screen.say(f"  {bold(host.name + '$ ntm ' + shown)}")
    for line in done.stdout.rstrip("\n").split("\n"):
        short = f"{line[:24]}..." if line.startswith("ntm1-") else line
        screen.say(f"      {short}")
    return done.stdout.strip()


class Demo:
    def __init__(self, lab, screen):
        self.lab, self.screen = lab, screen
        self.watches, self.gaps = {}, []

    def join(self):
        s, a, b = self.lab.s, self.lab.a, self.lab.b
        s.serve()
        self.screen.say(f"  {bold('s$ ntm serve')}")
        for node in (a, b):
            code = typed(self.screen, s, "invite")
            typed(self.screen, node, "up", code, "--name", node.name)
            node.learn_addresses()
        for node in (a, b):
            self.watches[node] = node.watch()
        a.ntm("ping", "b", "-c", "1", check=True)
        a.wait_path(b, "direct")
        typed(self.screen, a, "status")

    def begin_traffic(self):
        www = self.lab.path("www")
        os.makedirs(www)
        self.size = make_tar(os.path.join(www, "usr-lib.tar"))
        self.digest = sha256_of(os.path.join(www, "usr-lib.tar"))
        Web(self.lab.b, www, self.size // DOWNLOAD_SECONDS)
        url = f"http://{self.lab.b.fqdn.rstrip('.')}/usr-lib.tar"
        self.shell = Shell(self.lab.a, self.lab.b)
        self.download = Download(self.lab.a, url, self.size)
        self.screen.say(f"  {bold('a$ curl -O ' + url)}      {self.size / 1e6:.0f} MB, SHA-256 {self.digest[:16]}...")
        self.screen.say(f"  {bold('a$ ssh b ping 127.0.0.1')}      counts on while everything moves")
        self.screen.say()

    def follow(self, until_share):
        """Shows the progress until so much of the file is there."""
        wanted = int(self.size * until_share)

        def reached():
            done = self.download.bytes()
            self.screen.progress(done, self.size, done / max(time.monotonic() - self.download.started, 0.1))
            demand(done >= wanted or self.download.process.running(), f"curl ended: {self.download.process.output()[-300:]}")
            return done >= wanted
        laboratory.wait_for(f"{until_share:.0%} of the download", reached, 90)

    def move(self, text, action):
        """One move, and what each end measured."""
        marks = {node: watch.mark() for node, watch in self.watches.items()}
        self.screen.event(bold(text))
        action()
        for node, watch in self.watches.items():
            event = watch.wait_event("handover", 20, marks[node])
            gap = event["gap_us"] / 1000
            self.gaps.append(gap)
            self.screen.event(f"  {node.name}: {where(event['from'])} -> {where(event['to'])}, gap {gap:.1f} ms, "
                              f"{event['replayed_packets']} packets replayed, {event['lost_packets']} lost")
            demand(event["lost_packets"] == 0, f"{node.name} lost packets: {event}")
        self.download.wait_more(1 << 20)

    def run(self):
        lab = self.lab
        self.follow(0.15)
        self.move("a moves: home -> mobile network", lambda: lab.a.move("cell"))
        self.follow(0.40)
        self.move("b moves: home -> mobile network", lambda: lab.b.move("cell"))
        self.follow(0.65)
        self.move("both move at the same instant: mobile network -> homes", lambda: lab.move_together((lab.a, "home"), (lab.b, "home")))
        self.follow(1.0)
        self.screen.end_progress()

    def judge(self):
        screen = self.screen
        self.download.finish(self.digest)
        screen.say(f"  SHA-256 at a {sha256_of(self.download.path)[:16]}... is that at b; bytes lost: {self.size - self.download.bytes()}")
        self.shell.check()
        screen.say(f"  ssh: {len(self.shell.numbers())} lines, none missing")
        demand(self.lab.everywhere("clear") == 0, "a virtual address was seen in clear on an outer link")
        demand(self.lab.everywhere("fragments") == 0, "an outer packet was in fragments")
        screen.say("  outer links: no virtual address in clear, no fragment")
        screen.say(f"  gaps as measured by both ends: {', '.join(f'{gap:.1f}' for gap in self.gaps)} ms")
        screen.say()
        typed(screen, self.lab.a, "status")


def where(path):
    """The short form of a handover's end: our address, and the peer's."""
    if isinstance(path, dict):
        return f"{path.get('local')}>{path.get('remote')}"
    return str(path)


def how_to_enter(lab):
    print("\nThe lab stays up. On each machine the overlay is what `ntm` and every program see:")
    for host in (lab.s, lab.a, lab.b):
        print(f"  {host.name}: sudo env NTM_STATE={host.state} NTM_SOCKET={host.socket_path} PATH={laboratory.BUILD}:$PATH ip netns exec {host.ns} bash")
    print(f"Logs: {lab.directory}\nTo remove it: sudo {laboratory.ROOT}/test/netns/run --clean")


def main():
    keep = "--keep" in sys.argv[1:]
    if [word for word in sys.argv[1:] if word != "--keep"]:
        print("usage: scripts/demo [--keep]", file=sys.stderr)
        return 2
    lock = laboratory.take_machine("demo")
    if not lock:
        return 2
    screen = Screen()
    screen.say(TOPOLOGY)
    try:
        with Lab("demo", keep=keep) as lab:
            try:
                demo = Demo(lab, screen)
                demo.join()
                demo.begin_traffic()
                demo.run()
                demo.judge()
            finally:
                screen.end_progress()
            print(bold("\nAll of it held."))
            if keep:
                how_to_enter(lab)
                for process in (demo.shell.process, demo.shell.server, *demo.watches.values()):
                    process.stop()
            else:
                shutil.rmtree(lab.path("www"))
                os.remove(demo.download.path)
    except (LabError, OSError, subprocess.SubprocessError, KeyError, ValueError) as error:
        print(f"demo: it did not hold: {error}\n      logs: {laboratory.LABS}/{laboratory.run_name()}-demo", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted; everything is removed", file=sys.stderr)
        return 130
    finally:
        lock.close()
    return 0


sys.exit(main())
