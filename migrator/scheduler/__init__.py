"""Where a guest may go: pure filters and weighers over frozen snapshots of the hosts."""
