"""The console: a web page of the operator, and the requests that it makes.

* `page_files` serves the page itself, from `assets`. Nothing there is secret, so it needs no token.
* `streams` reports all federations that the user may see, live.
* `switching` carries out what the user asks for.

The page decides nothing. What a user may see and do is checked here, for each federation and each request.
"""
