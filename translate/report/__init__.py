"""What people look at: maps in the terminal, as pictures and as a page; reports, learning curves."""
