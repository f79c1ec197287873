"""The hub: everything that talks to the Kubernetes API, and nothing that decides."""
