"""What only the tests share. What the demo and the bench use as well is in `hack/rig`."""
