"""Programs for the people who run federations. Neither worker nor operator uses them."""
