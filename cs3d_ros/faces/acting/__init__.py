"""What faces, light and camera do: expressions, their course, and all that moves beside."""
