"""The coordinator's runtime: gather what is, let the core decide, write once, tell afterwards."""
