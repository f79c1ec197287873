"""What every process needs and no decision does: clocks, backoff, logs."""
