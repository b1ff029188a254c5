"""The workstation's half of putting a model on a device."""
