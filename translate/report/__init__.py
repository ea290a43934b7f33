"""Numbers -> what people look at: maps in the terminal and as pictures, learning curves."""
