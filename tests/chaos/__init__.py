"""Real programs, a real hub, and real faults: kills, stops, cut and slow connections.

`make chaos` plays as many schedules as you ask for and prints what the probes saw; `make test` plays a few.
"""
