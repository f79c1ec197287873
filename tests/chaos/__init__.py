"""Real programs, a real hub, and faults that are made for real: kills, stops, cut and slow connections.

`make chaos` plays as many schedules as asked for and prints what the probes saw; `make test` plays a few.
"""
