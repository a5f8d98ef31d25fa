"""Facts about the machine, and decisions from them."""
