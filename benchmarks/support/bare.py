"""A bare Debian machine on this one: a fresh minimal system in namespaces of its own, with a way to the registries.

The machine is real in what counts for the figures (nothing is installed, every package comes over the network) and
shares this machine's processors and kernel.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

NAME, TABLE, WIRE = "skerry-bench", "skerry_bench", "skerry-bench0"
OUTSIDE, INSIDE = "198.51.100.1", "198.51.100.2"  # RFC 5737: for documentation, never real
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
INIT = """
mount --bind $ROOT $ROOT && cd $ROOT
mount --rbind /dev dev; mount -t proc proc proc; mount -t sysfs sys sys
mount -t tmpfs tmpfs run; mount -t tmpfs tmpfs dev/shm
hostname bare
touch run/ready
exec sleep infinity
"""


class Bare:
    """The machine, as a context manager; ``folder`` keeps the minimal system for the next run.

    Needs root and mmdebstrap. Raises subprocess.CalledProcessError when a program that it needs fails.
    """

    def __init__(self, folder: Path, checkout: Path) -> None:
        self.folder, self.checkout = folder, checkout
        self.root = folder / "root"
        self._first: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Bare:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._cleanup()
        archive = self.folder / "minimal.tar"
        if not archive.exists():
            sources = subprocess.run(
                ["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages"],
                capture_output=True,
                text=True,
                check=True,
            ).stdout.splitlines()
            codename, uri = next(line.split() for line in sources if "-" not in line.split()[0])
            _run(
                "mmdebstrap",
                "--format=tar",
                "--variant=minbase",
                "--include=ca-certificates",
                codename,
                str(archive) + ".new",
                uri,
            )
            Path(f"{archive}.new").replace(archive)
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir()
        _run("tar", "-xf", str(archive), "-C", str(self.root), "--exclude=./dev/*")
        for path in ("etc/resolv.conf", "etc/ssl/certs/ca-certificates.crt"):
            shutil.copy(f"/{path}", self.root / path)
        (self.root / "etc/hosts").write_text("127.0.0.1 localhost bare\n")
        _run("git", "clone", "-q", str(self.checkout), str(self.root / "root/skerry"))
        _run("ip", "netns", "add", NAME)
        _run("ip", "link", "add", WIRE, "type", "veth", "peer", "name", "eth0", "netns", NAME)
        _run("ip", "address", "add", f"{OUTSIDE}/24", "dev", WIRE)
        _run("ip", "link", "set", WIRE, "up")
        for words in (
            f"address add {INSIDE}/24 dev eth0",
            "link set eth0 up",
            "link set lo up",
            f"route add default via {OUTSIDE}",
        ):
            _run("ip", "-n", NAME, *words.split())
        rules = f"table ip {TABLE} {{\n chain out {{\n  type nat hook postrouting priority srcnat\n"
        rules += f"  ip saddr {INSIDE} oifname != {WIRE} masquerade\n }}\n}}\n"
        subprocess.run(["nft", "-f", "-"], input=rules.encode(), check=True)
        self._forwarding = FORWARDING.read_text()
        FORWARDING.write_text("1\n")
        unshare = [
            "unshare",
            "--mount",
            "--propagation=private",
            "--pid",
            "--fork",
            "--kill-child",
            "--uts",
            "--ipc",
        ]
        self._first = subprocess.Popen(
            ["ip", "netns", "exec", NAME, *unshare, "sh", "-c", INIT],
            env={**os.environ, "ROOT": str(self.root)},
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._first is not None:
            self._first.send_signal(signal.SIGKILL)
            self._first.wait()
            FORWARDING.write_text(self._forwarding)
        self._cleanup()
        shutil.rmtree(self.root, ignore_errors=True)

    def _cleanup(self) -> None:
        for argv in (
            ["nft", "delete", "table", "ip", TABLE],
            ["ip", "link", "delete", WIRE],
            ["ip", "netns", "delete", NAME],
        ):
            subprocess.run(argv, capture_output=True)

    def _init(self) -> str:
        """The machine's first process, once it has made its mounts."""
        assert self._first is not None
        begun = time.monotonic()
        while time.monotonic() - begun < 20:
            children = Path(f"/proc/{self._first.pid}/task/{self._first.pid}/children").read_text().split()
            if children and Path(f"/proc/{children[0]}/root{self.root}/run/ready").exists():
                return children[0]
            time.sleep(0.05)
        raise TimeoutError("the bare machine did not start within 20 s")

    def run(self, command: str, timeout: float = 1200) -> str:
        """Run a shell command on the machine as root and return what it printed; its stderr is shown."""
        environment = {
            "HOME": "/root",
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt",
            "LANG": "C.UTF-8",
        }
        enter = [
            "nsenter",
            f"--target={self._init()}",
            "--all",
            "chroot",
            str(self.root),
            "sh",
            "-c",
            command,
        ]
        done = subprocess.run(
            enter,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=sys.stderr,
            timeout=timeout,
            text=True,
            check=True,
        )
        return done.stdout


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True)
