"""Ours as built elsewhere, beside the build of this tree: what a change gains or loses is told by rounds of the same run.

NTM_BUILD_OTHER="NAME=DIR [NAME=DIR ...]" names the builds; each is a contender "ours (NAME)".
"""
import os

from tunnels.ciphers import programs_of
from tunnels.ours import Ours


def other(name, build):
    """A class for the programs in this folder."""
    def start(self, cable):
        with programs_of(build):
            Ours.start(self, cable)
    return type("Other", (Ours,), {"name": f"ours ({name})", "start": start, "commands": (f"programs of {build}",)})


TUNNELS = tuple(other(*word.split("=", 1)) for word in os.environ.get("NTM_BUILD_OTHER", "").split())
