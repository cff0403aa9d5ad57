"""The outside of a simulated machine: a web server that answers with the address under which it sees its visitor.

And a name server that knows no name.

Runs under ``python -I -S`` on a host of the machine's lab: ``world.py ADDRESS``.
"""

import http.server
import socketserver
import sys
import threading


class Visited(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"{self.client_address[0]}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Unknown(socketserver.BaseRequestHandler):
    """Answers each question with NXDOMAIN (RFC 1035, 4.1.1)."""

    def handle(self) -> None:
        question, socket = self.request
        if len(question) >= 12:
            socket.sendto(question[:2] + b"\x81\x83" + question[4:], self.client_address)


def main(address: str) -> None:
    names = socketserver.UDPServer((address, 53), Unknown)
    threading.Thread(target=names.serve_forever, daemon=True).start()
    server = http.server.ThreadingHTTPServer((address, 80), Visited)
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
