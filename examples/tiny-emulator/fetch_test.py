#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""fetch_test.py TINY_EMULATOR: serves a page by HTTP, has the emulator's guest fetch it, compares."""

import http.server
import subprocess
import sys
import threading

PAGE = bytes(range(256)) * 700  # more than a window


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == '/page' else 404)
        self.end_headers()
        if self.path == '/page':
            self.wfile.write(PAGE)

    def log_message(self, format, *args):
        pass


def main():
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    run = subprocess.run([sys.argv[1], str(server.server_port), '/page'], stdout=subprocess.PIPE,
                         timeout=60, check=False)
    head, _, body = run.stdout.partition(b'\r\n\r\n')
    if run.returncode or b' 200 ' not in head.split(b'\r\n')[0] or body != PAGE:
        sys.exit(f'status {run.returncode}, {len(body)} octets of {len(PAGE)}: {head[:200]}')
    server.shutdown()
    # Nobody serves this port any more: the guest is told, and says so.
    server.server_close()
    run = subprocess.run([sys.argv[1], str(server.server_port)], stdout=subprocess.PIPE, timeout=60, check=False)
    if run.returncode != 1 or run.stdout:
        sys.exit(f'without a server: status {run.returncode}, {run.stdout[:200]}')


main()
