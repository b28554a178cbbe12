"""Another host: a network namespace of this machine, whose packets can be dropped."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess

_numbers = itertools.count()


class NoHosts(Exception):
    """No network namespace can be made here; the message says why."""


class Host:
    """A host with one neighbour, this machine, at ``ours``; its own address is ``address``.

    ``command`` begins the words of a program that is to run there.
    """

    def __init__(self) -> None:
        tools = [name for name in ("ip", "iptables") if shutil.which(name) is None]
        if tools or os.geteuid() != 0:
            raise NoHosts(f"there is no {' and no '.join(tools)} here" if tools else "only root makes one")
        number = next(_numbers)
        self._name = f"dibs-{os.getpid()}-{number}"
        self._end, far = f"db{os.getpid() % 100_000}n{number}", f"df{os.getpid() % 100_000}n{number}"
        network = f"10.{200 + os.getpid() % 50}.{os.getpid() // 50 % 250}"
        self.ours, self.address = f"{network}.{4 * number + 1}", f"{network}.{4 * number + 2}"
        self.network = f"{network}.{4 * number}/30"
        self.command = ("ip", "netns", "exec", self._name)
        self._do("ip", "netns", "add", self._name)
        try:
            self._do("ip", "link", "add", self._end, "type", "veth", "peer", far, "netns", self._name)
            self._do("ip", "address", "add", f"{self.ours}/30", "dev", self._end)
            self._do("ip", "link", "set", self._end, "up")
            for words in (("address", "add", f"{self.address}/30", "dev", far), ("link", "set", far, "up")):
                self._do("ip", "-n", self._name, *words)
            self._do("ip", "-n", self._name, "link", "set", "lo", "up")
            self.cut()
            self.mend()
        except BaseException:
            self.end()
            raise

    def _do(self, *words: str) -> None:
        ran = subprocess.run(words, check=False, capture_output=True, text=True, timeout=60)
        if ran.returncode:
            raise NoHosts(f"{' '.join(words)}: {ran.stderr.strip()}")

    def cut(self) -> None:
        """Drop all packets from there and to there; on the host itself all goes on."""
        for chain, way in (("INPUT", "-i"), ("OUTPUT", "-o")):
            self._do(*self.command, "iptables", "-w", "-A", chain, "!", way, "lo", "-j", "DROP")

    def mend(self) -> None:
        """Drop none any more."""
        self._do(*self.command, "iptables", "-w", "-F")

    def end(self) -> None:
        """Remove the host; what runs there has ended."""
        subprocess.run(("ip", "netns", "del", self._name), check=False, capture_output=True, timeout=60)
        # The pair of interfaces goes with the namespace, but not while something there holds it.
        subprocess.run(("ip", "link", "del", self._end), check=False, capture_output=True, timeout=60)
