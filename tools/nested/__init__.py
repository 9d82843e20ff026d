"""Nested hosts on one machine: real libvirt daemons, emulated guests, and ways to break them."""
