"""`make bench` and `make figures`: how fast it is, and what faults cost. Results: docs/results/."""
