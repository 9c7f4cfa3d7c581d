"""The outbox: adds effects for rows that a peer lacks, and does them in order."""
