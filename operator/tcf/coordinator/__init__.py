"""The coordinator: it watches the hub, lets the core decide, writes the decision, and reports it."""
