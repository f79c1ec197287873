"""The program `kubectl tcf`: look at federations and steer them with a kubeconfig, without any worker."""
