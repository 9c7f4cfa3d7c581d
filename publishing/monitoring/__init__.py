"""Status, health checks and metrics of publishing."""
