"""The two servers that all methods bring up: one of Python and numpy with its data in memory, one MariaDB.

What is to be installed is the difference between two Debian trees, as a tar archive: no method needs a mirror.
"""

from __future__ import annotations

import filecmp
import subprocess
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pymysql

from skerry.cloudlet.vm import recipe

LEFT_OUT = ("boot/", "var/lib/apt/", "var/cache/", "var/log/", "dev/", "proc/", "sys/", "run/", "tmp/")

UNPACK = "xz -dc /dev/vdb 2>/dev/null | tar xf - -C / || exit 1\n"

NUMPY_APP = """
import http.server, urllib.parse
import numpy as np
rows = 30000
angles = np.outer(np.arange(1, rows + 1), np.arange(1, 97)) * 0.37
data = np.sin(angles).astype(np.float32).round(3)
del angles
norms = np.linalg.norm(data, axis=1)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        number = int(urllib.parse.urlsplit(self.path).query.partition("=")[2] or 1)
        query = data[number % rows] + np.float32(0.001)
        near = np.argsort(-(data @ query) / norms)[:5]
        text = ("near " + " ".join(map(str, near))).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    def log_message(self, *words):
        pass
http.server.HTTPServer(("", 8080), Handler).serve_forever()
"""

NUMPY_INSTALL = f"""
{UNPACK}
cat >/root/app.py <<'EOF'
{NUMPY_APP}
EOF
cat >/etc/skerry/start <<'EOF'
#!/bin/sh
exec setsid python3 /root/app.py
EOF
chmod +x /etc/skerry/start
/etc/skerry/start >/dev/null 2>&1 &
tries=0
until busybox wget -q -O /dev/null 'http://127.0.0.1:8080/?q=1'; do
  tries=$((tries + 1)); [ $tries -lt 300 ] || exit 1
  sleep 0.5
done
"""
NUMPY_WARM = "busybox wget -q -O /dev/null 'http://127.0.0.1:8080/?q=7'"

MARIADB_INSTALL = f"""
{UNPACK}
mkdir -p /run/mysqld /var/lib/mysql /var/log/mysql; chown -R mysql:mysql /run/mysqld /var/lib/mysql /var/log/mysql
cat >/etc/skerry/start <<'EOF'
#!/bin/sh
mkdir -p /run/mysqld; chown mysql:mysql /run/mysqld
exec setsid mariadbd --user=mysql --bind-address=0.0.0.0 --skip-name-resolve --innodb-buffer-pool-size=128M
EOF
chmod +x /etc/skerry/start
/etc/skerry/start >/dev/null 2>&1 &
tries=0
until mariadb -e 'select 1' >/dev/null 2>&1; do
  tries=$((tries + 1)); [ $tries -lt 300 ] || exit 1
  sleep 0.5
done
mariadb <<'EOF'
create database shop; use shop;
create user 'shop'@'%' identified by 'shop'; grant all on shop.* to 'shop'@'%';
create table item (id int primary key, name varchar(80), price int, stock int, key (price));
insert into item select seq, concat('item number ', seq, ' ', md5(seq)), seq * 7919 % 10007, seq % 97
  from seq_1_to_150000;
select count(*), avg(price) from item;
EOF
"""
# As clients come: over TCP, with a password.
MARIADB_WARM = """
mariadb -h 127.0.0.1 -u shop -pshop shop -e 'select name, stock from item where price = 4711 order by id limit 5'
"""


def ask_numpy(port: int) -> None:
    """A query that was not asked before, by a client as patient as the database's.

    One that gives up while the guest fetches its pages has the server handle the error, which reads files that nobody had
    recorded.
    """
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/?q=31415", timeout=30) as answer:
        assert answer.read().startswith(b"near ")


def ask_mariadb(port: int) -> None:
    """The recorded kind of query, with another value."""
    assert len(_rows(port, "select name, stock from item where price = 1234 order by id limit 5")) == 5


def ask_mariadb_range(port: int) -> None:
    """A sum over a range of rows: none of them is in the recorded working set."""
    assert _rows(port, "select sum(stock), avg(length(name)) from item where id between 50000 and 70000")


def _rows(port: int, query: str) -> Sequence[object]:
    link = pymysql.connect(
        host="127.0.0.1",
        port=port,
        user="shop",
        password="shop",
        database="shop",
        connect_timeout=5,
        read_timeout=30,
    )
    with link, link.cursor() as cursor:
        cursor.execute(query)
        rows: Sequence[object] = cursor.fetchall()
        return rows


@dataclass(frozen=True)
class Workload:
    name: str
    packages: tuple[str, ...]
    install: str
    warm: str
    port: int
    ask: Callable[[int], None]
    other: Callable[[int], None] | None = None

    def first_reply(
        self, port: int, deadline: float = 180.0, ask: Callable[[int], None] | None = None
    ) -> None:
        """Ask until there is an answer."""
        end = time.monotonic() + deadline
        while True:
            try:
                (ask or self.ask)(port)
                return
            except (OSError, pymysql.Error):
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)


WORKLOADS = (
    Workload("numpy", ("python3-numpy",), NUMPY_INSTALL, NUMPY_WARM, 8080, ask_numpy),
    Workload(
        "mariadb", ("mariadb-server",), MARIADB_INSTALL, MARIADB_WARM, 3306, ask_mariadb, ask_mariadb_range
    ),
)


def payload(workload: Workload, folder: Path, report: Callable[[str], None]) -> Path:
    """The archive of what the workload adds to the guest's tree; kept in ``folder`` for the next run."""
    archive = folder / f"{workload.name}.tar.xz"
    if archive.exists():
        return archive
    plain = folder / "plain"
    if not plain.exists():
        report("the guest's tree, for comparison")
        recipe.tree(plain)
    tree = folder / workload.name
    if not tree.exists():
        report(f"the guest's tree with {' '.join(workload.packages)}")
        recipe.tree(tree, workload.packages)
    changed = []
    for path in sorted(tree.rglob("*")):
        name = str(path.relative_to(tree))
        if name.startswith(LEFT_OUT) or (path.is_dir() and not path.is_symlink() and (plain / name).is_dir()):
            continue
        other = plain / name
        if path.is_symlink():
            same = other.is_symlink() and path.readlink() == other.readlink()
        elif path.is_file():
            same = other.is_file() and filecmp.cmp(path, other, shallow=False)
        else:
            same = False
        if not same:
            changed.append(name)
    report(f"packing {len(changed)} files")
    names = "\0".join(changed).encode()
    half = archive.with_suffix(".part")
    tar = ["tar", "-C", str(tree), "--no-recursion", "--null", "-T", "-", "-I", "xz -6 -T2", "-cf", str(half)]
    subprocess.run(tar, input=names, check=True)
    half.replace(archive)
    return archive
