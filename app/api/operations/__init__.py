"""The operations, by audience: consume, produce, manage (queues and items), observe."""
