"""Ask each URL until it answers 200, for half a minute; print the answers, fail if one does not."""

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
            told = error.read().decode() if isinstance(error, urllib.error.HTTPError) else ""
            if time.monotonic() > deadline:
                sys.exit(f"{url}: {error} {told}")
        time.sleep(1)
