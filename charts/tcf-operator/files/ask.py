"""Ask each URL until it answers 200, for at most half a minute. Print the answers, or fail without one."""

import sys
import time
import urllib.error
import urllib.request

PATIENCE = 30.0

deadline = time.monotonic() + PATIENCE
for url in sys.argv[1:]:
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                print(url, response.status, response.read().decode())
            break
        except OSError as error:
            body = error.read().decode() if isinstance(error, urllib.error.HTTPError) else ""
            if time.monotonic() > deadline:
                sys.exit(f"{url}: {error} {body}")
        time.sleep(1)
