"""The hub: everything that talks to the Kubernetes API. Nothing here makes decisions."""
