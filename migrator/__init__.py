"""migrator: live migration of libvirt/KVM guests, driven by a conductor."""

import sys

# oslo's libraries load eventlet wherever it is installed, and it patches the threads that everything
# here waits with. It must be gone before the first of them is imported.
sys.modules.setdefault("eventlet", None)  # type: ignore[arg-type]
