"""What tiercel decides from measurements: for now, what the machine offers."""
