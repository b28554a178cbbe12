"""Who may ask what: tokens and their roles, by queue."""
