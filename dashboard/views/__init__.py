"""One screen a module; ``dashboard.app`` arranges them."""
