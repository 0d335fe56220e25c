"""How fast, how large and how hungry the engines are on this machine."""
