"""Changing what readers see: builds, rollbacks, withdrawals; and looking ahead."""
