"""Answers one HTTP request on standard input out of a folder; QEMU starts it per connection.

Where there is a file ``<page>.busy``, the page is answered as by a service that cannot answer now.
"""

import sys
from pathlib import Path


def main() -> None:
    request = sys.stdin.readline().split()
    while sys.stdin.readline().strip():
        pass
    page = Path(sys.argv[1], request[1].strip("/")) if len(request) > 1 else Path()
    found = page.is_file()
    body = page.read_bytes() if found else b"no such page\n"
    status = "200 OK" if found else "404 Not Found"
    if page.with_name(f"{page.name}.busy").exists():
        status, body = "503 Service Unavailable", b"later\n"
    head = f"HTTP/1.0 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    sys.stdout.buffer.write(head.encode() + body)


if __name__ == "__main__":
    main()
