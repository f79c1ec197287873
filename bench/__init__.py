"""`make bench`: how fast it is, each figure against a floor measured in the same run on the same machine."""
