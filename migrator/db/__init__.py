"""The database behind the conductor's ports; no row leaves this package."""
