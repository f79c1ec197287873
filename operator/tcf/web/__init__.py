"""HTTP: the server, the `/tcf/*` paths, and the health of a process."""
