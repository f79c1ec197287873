"""The decisions: pure functions and state machines over values and `now`, standard library only.

Nothing in this package does I/O, reads a clock or logs. Two things live here:

* what the *coordinator* does next with a federation (`decide`). This is built from the table of legal
  transitions (`transitions`), the fence (`fencing`) and the admission of requests (`admission`, `policies`);
* what a *worker* may answer, and what it has to write next (`reading`).

`docs/safety.md` has the argument why these two together are safe.
"""
