"""Records, which go over the wire: what is in them, and how they are made of spans."""
