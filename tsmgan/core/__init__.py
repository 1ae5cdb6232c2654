"""The engine: arrays in, arrays out. Its modules stand in the order of the data, and each imports only from those before it."""
