"""Players get plans and products by their registrations in Zoho."""
