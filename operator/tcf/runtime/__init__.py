"""Tools that every process needs: clocks, backoff, logs."""
