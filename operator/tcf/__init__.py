"""An operator that decides which of several federated clusters is active."""
