"""Real faces in videos: found, tracked, cut out upright and calm."""
