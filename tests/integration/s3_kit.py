"""An S3 server on loopback with a door in front of it that can fall ill: both in processes of their own.

They cannot live in the test's process: some calls of ArcticDB keep Python's lock while they wait for an answer.
"""

import http.client
import json
import os
import socket
import socketserver
import subprocess
import sys
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

HOP = {"transfer-encoding", "content-length", "connection", "server", "date"}


class Door(BaseHTTPRequestHandler):
    """Passes requests on, or answers them with ``ill["code"]``; ``PUT /__`` changes ``ill``.

    A code of -1 is silence: the request is taken, and nothing comes back until the server is well again.
    """

    protocol_version = "HTTP/1.1"
    # Head and body are two writes: the second would wait 40 ms for the first one's receipt.
    disable_nagle_algorithm = True
    behind = 0
    ill: ClassVar = {"code": 0, "methods": ["GET", "PUT", "POST", "HEAD", "DELETE"], "after": 0}

    def pass_on(self):
        body = self.whole_body()
        if self.path == "/__":
            type(self).ill = {**Door.ill, **json.loads(body)}
            return self.reply(200, [], b"")
        if self.command in self.ill["methods"] and self.ill["code"]:
            if self.ill["after"] <= 0 and self.ill["code"] < 0:
                while self.ill["code"] < 0:
                    time.sleep(0.02)
                self.close_connection = True
                return None
            if self.ill["after"] <= 0:
                return self.reply(self.ill["code"], [], b"" if self.command == "HEAD" else b"<Error/>")
            self.ill["after"] -= 1
        link = http.client.HTTPConnection("127.0.0.1", self.behind)
        link.request(self.command, self.path, body, {k: v for k, v in self.headers.items() if k.lower() not in HOP})
        answer = link.getresponse()
        headers = [(k, v) for k, v in answer.getheaders() if k.lower() not in HOP]
        return self.reply(answer.status, headers, answer.read(), answer.getheader("Content-Length"))

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = pass_on

    def whole_body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            continue
        return b"".join(parts)

    def reply(self, status, headers, body, length=None):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", length if self.command == "HEAD" and length else str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Say nothing."""


class Threaded(socketserver.ThreadingMixIn, HTTPServer):
    daemon_threads = True


class S3:
    """A bucket behind the door."""

    def __init__(self, port):
        self.port = port
        self.uri = (
            f"s3://127.0.0.1:books?port={port}&access=key&secret=hidden&region=us-east-1&use_virtual_addressing=false"
        )

    def fall_ill(self, code, methods=("GET", "PUT", "POST", "HEAD", "DELETE"), after=0):
        self.set(code=code, methods=list(methods), after=after)

    def fall_silent(self, methods=("GET", "PUT", "POST", "HEAD", "DELETE"), after=0):
        """Take requests and say nothing."""
        self.set(code=-1, methods=list(methods), after=after)

    def get_well(self):
        self.set(code=0)

    def set(self, **ill):
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        link.request("PUT", "/__", json.dumps(ill))
        assert link.getresponse().status == 200
        link.close()


@contextmanager
def s3_server():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    moto = Path(sys.executable).with_name("moto_server")
    environment = os.environ | {"AWS_EC2_METADATA_DISABLED": "true"}
    server = subprocess.Popen(
        [moto, "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    door = subprocess.Popen([sys.executable, __file__, str(port)], stdout=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while not answers(port):
            assert time.monotonic() < deadline, "the S3 server did not start"
            time.sleep(0.05)
        link = http.client.HTTPConnection("127.0.0.1", port)
        link.request("PUT", "/books")
        assert link.getresponse().status == 200
        link.close()
        yield S3(int(door.stdout.readline()))
    finally:
        for process in (door, server):
            process.kill()
            process.wait()
        door.stdout.close()


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    Door.behind = int(sys.argv[1])
    opened = Threaded(("127.0.0.1", 0), Door)
    print(opened.server_address[1], flush=True)
    opened.serve_forever()
