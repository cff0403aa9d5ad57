"""What lies outside of a simulated machine: a web server that tells a visitor the address it was seen under.

Runs under ``python -I -S`` in a network namespace of its own; ends when its standard input closes.
"""

import http.server
import sys
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"{self.client_address[0]}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def main() -> None:
    sys.stdin.readline()  # the addresses are there from now on
    server = http.server.ThreadingHTTPServer((sys.argv[1], 80), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("up", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
