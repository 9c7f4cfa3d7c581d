"""What the clients of Zoho and Moodle are made of: requests, limits and errors."""
