"""Unmodified programs that are in the middle of something when the networks change."""
import os
import re

from lab import demand, wait_for
from services import BLOCK_BYTES, Copy, Ftp, FtpDownload, Shell, Speed, make_file
from test_join import two_joined

FILE_BYTES = 12 << 20
RATE_BYTES = 6 << 20


def with_file(lab, node, size_bytes=FILE_BYTES):
    """A folder on a node with a file in it, and the file's SHA-256."""
    folder = lab.path(f"{node.name}-files")
    os.makedirs(folder)
    digest = make_file(os.path.join(folder, "file"), size_bytes)
    return folder, digest


def name_of(node):
    return node.fqdn.rstrip(".")


def test_program_ftp(new_lab):
    """A download from an FTP server, in active and in passive mode, while the client and then the server move."""
    with new_lab() as lab:
        two_joined(lab)
        folder, digest = with_file(lab, lab.b)
        Ftp(lab.b, folder, RATE_BYTES)
        for active in (True, False):
            download = FtpDownload(lab.a, f"ftp://{name_of(lab.b)}/file", FILE_BYTES, active)
            download.wait_bytes(BLOCK_BYTES)
            for node in (lab.a, lab.b):
                node.move("cell" if node.at == "home" else "home")
                download.wait_more()
            download.finish(digest)
        demand(lab.everywhere("clear") == 0, "a virtual address was seen in clear")


def test_program_scp_and_shell(new_lab):
    """scp of a file and a shell that counts go on while each end and then both move."""
    with new_lab() as lab:
        two_joined(lab)
        folder, digest = with_file(lab, lab.b)
        shell = Shell(lab.a, lab.b)
        copy = Copy(shell, lab.b, os.path.join(folder, "file"), FILE_BYTES)
        copy.wait_bytes(BLOCK_BYTES)
        for move in (lambda: lab.a.move("cell"), lambda: lab.b.move("cell"), lambda: lab.move_together((lab.a, "home"), (lab.b, "home"))):
            move()
            copy.wait_more(BLOCK_BYTES)
        copy.finish(digest)
        shell.check()


def test_program_interactive_shell(new_lab):
    """A person's shell on another machine: what is typed after each move comes back."""
    with new_lab() as lab:
        two_joined(lab)
        counting = Shell(lab.a, lab.b)
        read_end, write_end = os.pipe()
        with os.fdopen(read_end) as typed, os.fdopen(write_end, "w") as keyboard:
            session = lab.a.start("typing", "ssh", "-tt", *counting.options, f"root@{name_of(lab.b)}", "PS1= exec sh", stdin=typed)
            for number, label in enumerate(("home", "cell", "home")):
                if lab.a.at != label:
                    lab.a.move(label)
                keyboard.write(f"echo said-$(({number} + 40))\n")
                keyboard.flush()
                session.wait_line(rf"said-{number + 40}\b", 20)
            keyboard.write("exit 7\n")
            keyboard.flush()
            demand(session.wait(20) == 7, "the shell's own exit code did not come back")
        counting.check()


def transferred(end):
    """Bytes sent and received over TCP."""
    return end["sum_sent"]["bytes"], end["sum_received"]["bytes"]


def test_program_full_speed(new_lab):
    """TCP at full speed, there and back, and a stream of UDP, each across a move: nothing resets, and all goes on."""
    with new_lab() as lab:
        two_joined(lab)
        lab.a.ntm("ping", "b", "-c", "1", check=True)
        lab.a.wait_path(lab.b, "direct")
        for number, options in enumerate(((), ("-R",), ("-u", "-b", "20M"))):
            before = rx_bytes(lab, number)
            speed = Speed(lab.a, lab.b, lab.b.v4, *options)
            wait_for("iperf3 to be at it", lambda n=number, b=before: rx_bytes(lab, n) > b + (1 << 20), 15)
            lab.a.move("cell" if lab.a.at == "home" else "home")
            moved_at = rx_bytes(lab, number)
            wait_for("iperf3 to go on", lambda n=number, m=moved_at: rx_bytes(lab, n) > m + (1 << 20), 15)
            end = speed.result()
            if "-u" in options:
                demand(end["sum"]["packets"] > 0, "no UDP was sent")
            else:
                sent, received = transferred(end)
                demand(0 <= sent - received < 32 << 20, f"{sent} bytes were sent and {received} received")


def rx_bytes(lab, number):
    """What the receiving end's device has brought."""
    node = lab.a if number == 1 else lab.b
    with node.inside(), open("/proc/thread-self/net/dev", encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.strip().startswith("ntm0:"))


def test_program_ping_and_dns(new_lab):
    """ping loses nothing across moves of either end, and names are answered at any time."""
    with new_lab() as lab:
        two_joined(lab)
        lab.a.ntm("ping", "b", "-c", "1", check=True)
        ping = lab.a.start("ping", "ping", "-n", "-i", "0.05", "-c", "60", name_of(lab.b))
        ping.wait_line("icmp_seq=5 ", 20)
        for node, label, number in ((lab.a, "cell", 20), (lab.b, "cell", 35), (lab.a, "home", 50)):
            node.move(label)
            answer = lab.a.run("dig", "+short", "+timeout=3", f"@{lab.a.v4}", name_of(lab.b), "A", check=True).stdout.split()
            demand(answer == [lab.b.v4], f"dig said {answer}")
            ping.wait_line(f"icmp_seq={number} ", 20)
        demand(ping.wait(30) == 0, "ping lost everything")
        numbers = [int(number) for number in re.findall(r"icmp_seq=(\d+)", ping.output())]
        demand(len(numbers) == len(set(numbers)), "ping got an answer twice")
        demand(len(numbers) == 60, f"ping lost {60 - len(numbers)} of 60 across three moves")
