"""HTTP: the `/tcf/*` application, and the health of a process."""
