"""What tells whether any host has changed is read without reading the hosts.

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_hosts_mark", "hosts", ["revision", "claims_generation"])


def downgrade() -> None:
    op.drop_index("ix_hosts_mark", "hosts")
