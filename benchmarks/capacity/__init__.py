"""How much one conductor carries: many migrations held at once, and whole migrations per second."""
