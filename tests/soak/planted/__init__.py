"""Services with a defect built in on purpose, for the soak's verdict to find."""
