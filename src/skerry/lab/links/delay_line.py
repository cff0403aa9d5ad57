"""A delay line between two interfaces: what comes in at one goes out at the other, some time later.

Runs under ``python -I -S`` with the standard library only, in the lab's fabric: kernels without netem cannot delay.
Frames keep the notes that the kernel has on them (unfinished checksums, segments to be cut), as on a real link
between the two. Loss is drawn here too, because frames are taken before the kernel's filters see them.

Usage: delay.py ONE OTHER SECONDS SHARE_LOST
"""

import os
import random
import select
import socket
import sys
import time
from collections import deque

ETH_P_ALL = 3
SOL_PACKET, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 15, 23
SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33
BUFFER = 16 << 20
LONGEST = 1 << 17  # a frame to be segmented, with its notes
MOST = 64 << 20  # bytes on the way in one direction; what comes then is lost, as in a full queue


class Way:
    """The frames on their way to one end, and when each is due."""

    def __init__(self, end: socket.socket, delay: float, loss: float) -> None:
        self.end, self.delay, self.loss = end, delay, loss
        self.frames: deque[tuple[float, bytes]] = deque()
        self.held = 0

    def take_in(self, frame: bytes) -> None:
        if self.held + len(frame) <= MOST and (not self.loss or random.random() >= self.loss):
            self.frames.append((time.monotonic() + self.delay, frame))
            self.held += len(frame)

    def let_out(self, now: float) -> None:
        while self.frames and self.frames[0][0] <= now:
            frame = self.frames.popleft()[1]
            self.held -= len(frame)
            try:
                self.end.send(frame)
            except OSError:
                continue  # the interface is down or its queue is full: the frame is lost, as on a wire


def main(one: str, other: str, delay: float, loss: float) -> None:
    ends = [open_on(one), open_on(other)]
    ways = [Way(end, delay, loss) for end in reversed(ends)]
    poll = select.poll()
    for end in ends:
        poll.register(end, select.POLLIN)
    print(os.getpid(), flush=True)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    while True:
        due = min((way.frames[0][0] for way in ways if way.frames), default=None)
        wait = None if due is None else max(0.0, due - time.monotonic()) * 1000
        # poll(2) counts whole milliseconds: the last part of one is spent awake, or frames would be late.
        poll.poll(None if wait is None else int(wait))
        for end, way in zip(ends, ways, strict=True):
            for _ in range(256):
                try:
                    way.take_in(end.recv(LONGEST))
                except OSError:  # nothing more, or the interface is down
                    break
        now = time.monotonic()
        for way in ways:
            way.let_out(now)


def open_on(name: str) -> socket.socket:
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    end.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    end.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    for option in (SO_RCVBUFFORCE, SO_SNDBUFFORCE):
        end.setsockopt(socket.SOL_SOCKET, option, BUFFER)
    end.bind((name, ETH_P_ALL))
    end.setblocking(False)
    return end


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4]))
