"""The worker's runtime: the renewal cycle against the hub, and the requests made for clients."""
