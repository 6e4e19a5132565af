"""What a memory cell is: device models and the cards that give them measured parameters."""
