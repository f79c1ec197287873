"""Ask each URL until it answers 200, for at most half a minute. Print the answers, or fail without one.

Certificates are not checked: this is about whether there is an answer.
"""

import ssl
import sys
import time
import urllib.error
import urllib.request

PATIENCE = 30.0

tls = ssl.create_default_context()
tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
deadline = time.monotonic() + PATIENCE
for url in sys.argv[1:]:
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5, context=tls) as response:
                print(url, response.status, response.read().decode())
            break
        except OSError as error:
            body = error.read().decode() if isinstance(error, urllib.error.HTTPError) else ""
            if time.monotonic() > deadline:
                sys.exit(f"{url}: {error} {body}")
        time.sleep(1)
