"""What an agent can be asked: one file per op, ``run(host, request) -> reply`` in each.

An op looks, does what is missing, and says how things are then; "already so" is success, so a second
call is harmless. ``check_*`` and ``describe_*`` change nothing about any guest.
"""
