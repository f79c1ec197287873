"""The decisions: pure functions and state machines over values and `now`, standard library only.

Nothing in this package does I/O, reads a clock or logs. Two things live here:

* what the *coordinator* does next with a federation (`coordinator.decide`), built from the literal
  transition table (`transitions`), the fence (`fencing`) and the admission of requests (`requests`,
  `policies`);
* what a *worker* may answer and has to write next (`worker.WorkerState`).

The safety argument that the two together carry is in `docs/safety.md`.
"""
