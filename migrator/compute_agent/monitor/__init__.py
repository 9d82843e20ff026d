"""Watching a transfer: ``decide`` says what to do, ``loop`` looks and does it."""
