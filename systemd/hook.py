#!/usr/bin/python3
"""A receiver of Standard Webhooks for service-test.sh: verifies each signature by itself and writes a line a note.

    hook.py PORT SECRET-FILE LINES

A line is `good` or `bad`, the note's type, and its title. Listens on loopback, one request at a time.
"""
import base64
import hashlib
import hmac
import http.server
import json
import sys
import time

port, secret_file, lines = int(sys.argv[1]), sys.argv[2], sys.argv[3]
key = base64.b64decode(open(secret_file).read().strip().removeprefix("whsec_"))


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(min(int(self.headers["content-length"]), 1 << 20))
        name, at = self.headers["webhook-id"], self.headers["webhook-timestamp"]
        signed = b".".join([name.encode(), at.encode(), body])
        expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        given = self.headers["webhook-signature"].split(" ")
        good = expected in given and abs(time.time() - int(at)) < 300
        note = json.loads(body)
        with open(lines, "a") as out:
            print("good" if good else "bad", note["type"], note["title"], file=out)
        self.send_response(204 if good else 401)
        self.end_headers()

    def log_message(self, *_):
        pass


http.server.HTTPServer(("127.0.0.1", port), Receiver).serve_forever()
