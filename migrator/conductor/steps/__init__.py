"""The conductor's units of work, one file each: `execute` and its undo side by side.

A step takes the results of the steps it names in ``needs`` and returns its own: plain JSON-able
dictionaries, because they are journalled. Both halves may run again after a crash and look before
they act. A step that only reads has no undo.
"""
