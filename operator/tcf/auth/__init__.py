"""Who asks, and may they? Asks the hub or an identity provider, and remembers the answers for seconds."""
