"""The outside of a simulated machine: a web server that answers with the address under which it sees its visitor.

Runs under ``python -I -S`` on a host of the machine's lab: ``world.py ADDRESS``.
"""

import http.server
import sys


class Visited(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"{self.client_address[0]}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def main(address: str) -> None:
    server = http.server.ThreadingHTTPServer((address, 80), Visited)
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
