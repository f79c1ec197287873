"""`make demo`: a federation of two clusters on this machine, with a real Kubernetes API.

It starts a control plane (or uses the cluster of a kubeconfig), applies the CRD and `examples/shop.yaml`,
starts an operator and a worker for each member, and shows role changes until Ctrl-C. With --script it plays
the session that it suggests to people, checks every answer, and exits with status 0 or 1.
"""
