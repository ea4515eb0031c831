#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""vfio_user.py DIR KERNEL SCRIPT-FILE COMMAND...: boots a guest whose network device a vfio-user server has.
COMMAND starts the server; {socket} in it is the path where it is to listen. Prints what the script said;
exit status 1 if a vt_test of it failed. An example of guest.py, and enough for a look by hand."""
import os
import subprocess
import sys
import tempfile

from guest import Guest, vfio_user, wait_socket


def main():
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    cache, kernel, script, *command = sys.argv[1:]
    with open(script, encoding="utf-8") as file:
        text = file.read()
    with tempfile.TemporaryDirectory(prefix="guest-") as directory:
        path = os.path.join(directory, "device.sock")
        with subprocess.Popen([word.replace("{socket}", path) for word in command]) as server:
            try:
                wait_socket(path, server)
                with Guest(cache, kernel, text, [vfio_user(path)], echo=sys.stdout) as guest:
                    result = guest.finish()
            finally:
                server.terminate()
    return 1 if result.failed else 0


if __name__ == "__main__":
    sys.exit(main())
