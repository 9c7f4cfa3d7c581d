"""How publishing is: status, health, figures for people and for Prometheus."""
