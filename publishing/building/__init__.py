"""Change what readers see: builds, rollbacks and withdrawals; and preview them."""
