"""The worker: its renewals, the marks on its Pod, and the requests that it makes for clients."""
