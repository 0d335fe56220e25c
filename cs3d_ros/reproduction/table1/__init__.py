"""Table I on this device: operations, time and energy of C3D and CS3D."""
